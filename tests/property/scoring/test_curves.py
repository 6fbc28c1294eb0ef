"""Curves go through their points, straight between them and flat beyond."""

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.scorecards.curve import compile_curve
from tests.support.oracle_scores import through
from tests.support.strategies_scorecards import curves

ROUNDING = 1e-9
Points = list[tuple[float, float]]
finite = st.floats(-1e6, 1e6)


@given(curves())
def test_a_curve_goes_through_its_points(points: Points) -> None:
    curve = compile_curve(points)
    assert [curve(value) for value, _ in points] == [score for _, score in points]


@given(curves(), st.integers(-100, 1100))
def test_a_curve_equals_the_oracle(points: Points, value: int) -> None:
    assert compile_curve(points)(value) == pytest.approx(float(through(points, Fraction(value))), abs=ROUNDING)


@given(curves(), finite)
def test_a_curve_is_flat_beyond_its_ends(points: Points, beyond: float) -> None:
    curve = compile_curve(points)
    assert curve(points[0][0] - abs(beyond)) == points[0][1]
    assert curve(points[-1][0] + abs(beyond)) == points[-1][1]


@given(curves(), st.floats(0, 1), st.floats(0, 1))
def test_a_curve_is_monotone_between_points(points: Points, one: float, other: float) -> None:
    curve = compile_curve(points)
    nearer, farther = sorted([one, other])
    for (value, score), (next_value, next_score) in pairwise(points):
        step = next_value - value
        first, second = curve(value + nearer * step), curve(value + farther * step)
        if score > next_score:
            score, next_score, first, second = next_score, score, second, first
        assert score - ROUNDING <= first <= second + ROUNDING <= next_score + 2 * ROUNDING


@given(curves(), finite, finite)
def test_a_rising_curve_never_falls(points: Points, one: float, other: float) -> None:
    scores = sorted(score for _, score in points)
    curve = compile_curve([(value, score) for (value, _), score in zip(points, scores, strict=True)])
    assert curve(min(one, other)) <= curve(max(one, other)) + ROUNDING
