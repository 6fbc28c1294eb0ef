"""The probability of churn: exact at the table's points, within its bounds, and never rising with the score."""

from fractions import Fraction
from itertools import pairwise
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from scoring.scorecards.calibration import ScorecardCalibration, churn_probability
from scoring.scorecards.document import parse
from scoring.state.account_state import RETENTION_DAYS
from service.cli.scorecard_file import to_yaml
from service.storage.policy.scorecards import digest
from tests.support.oracle_scores import through
from tests.support.strategies_scorecards import calibrated_scorecards, calibrations

ROUNDING = 1e-12
scores = st.floats(0, 100)


@st.composite
def tables(draw: st.DrawFn) -> ScorecardCalibration:
    return msgspec.convert(draw(calibrations()), ScorecardCalibration)


def probability(calibration: ScorecardCalibration, score: float) -> float:
    found = churn_probability(calibration, score)
    assert found is not None
    return found


@given(tables())
def test_it_is_exact_at_the_points(calibration: ScorecardCalibration) -> None:
    points = calibration.probabilities
    assert [(score, probability(calibration, score)) for score, _ in points] == points


@given(tables(), st.lists(scores, min_size=2))
def test_it_never_rises_with_the_score(calibration: ScorecardCalibration, drawn: list[float]) -> None:
    rising = sorted([*drawn, *(score for score, _ in calibration.probabilities)])
    assert all(probability(calibration, low) >= probability(calibration, high) for low, high in pairwise(rising))


@given(tables(), scores)
def test_it_is_within_the_bounds_of_the_table(calibration: ScorecardCalibration, score: float) -> None:
    (_, highest), (_, lowest) = calibration.probabilities[0], calibration.probabilities[-1]
    assert lowest <= probability(calibration, score) <= highest


@given(tables(), st.integers(0, 100))
def test_it_lies_on_the_straight_line_between_two_points(calibration: ScorecardCalibration, score: int) -> None:
    line = through(calibration.probabilities, Fraction(score))
    assert probability(calibration, score) == pytest.approx(float(line), abs=ROUNDING)


@given(tables(), scores)
def test_without_a_score_or_a_calibration_there_is_none(calibration: ScorecardCalibration, score: float) -> None:
    assert churn_probability(calibration, None) is None
    assert churn_probability(None, score) is None


@given(calibrated_scorecards(RETENTION_DAYS))
def test_a_document_comes_back_from_yaml_and_json_as_it_was(written: dict[str, Any]) -> None:
    document = parse(written, RETENTION_DAYS)
    stored = parse(msgspec.json.decode(msgspec.json.encode(document)), RETENTION_DAYS)
    file = parse(yaml.safe_load(to_yaml(document)), RETENTION_DAYS)
    assert document == stored == file
    assert digest(document) == digest(file)
