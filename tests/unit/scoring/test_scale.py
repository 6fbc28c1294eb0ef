"""A scale remembers the shares of readings: no other result, and no more of them than it may."""

from hypothesis import given
from hypothesis import strategies as st

from scoring.scorecards.curve import compile_curve
from scoring.scorecards.measure import Missing, Value
from scoring.scorecards.scale import MOST_KEPT, NO_CAP, Scale

CURVE = compile_curve([(0, 0), (10, 100)])


def scale(absent: float | None = None) -> Scale:
    return Scale(2.0, CURVE, absent, 20.0, 35.0)


@given(st.lists(st.sampled_from([0.0, 1.5, 3.0, 20.0]) | st.sampled_from(Missing)), st.sampled_from([None, 0.0, 50.0]))
def test_a_remembered_share_is_the_one_that_was_computed(readings: list[Value], absent: float | None) -> None:
    remembering = scale(absent)
    for reading in [*readings, *readings]:
        assert remembering[reading] == scale(absent)[reading]


def test_a_share_is_what_counts_and_what_caps() -> None:
    assert scale()[5.0] == (2.0, 2.0, 100.0, NO_CAP)
    assert scale()[1.0] == (2.0, 2.0, 20.0, 35.0)
    assert scale()[Missing.NO_SEATS] == (0.0, 0.0, 0.0, NO_CAP)
    assert scale(50.0)[Missing.NO_SEATS] == (0.0, 2.0, 100.0, NO_CAP)


def test_it_remembers_a_bounded_number_of_readings() -> None:
    remembering = scale()
    for reading in range(3 * MOST_KEPT):
        assert remembering[float(reading)] == scale()[float(reading)]
        assert len(remembering) <= MOST_KEPT
