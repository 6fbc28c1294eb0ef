"""Drivers: the measures that moved a score or, without an earlier one, keep it below 100."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from scoring.scorecards.document import ScorecardDocument
from scoring.scorecards.drivers import drivers, shortfalls
from scoring.scorecards.measure import Missing, Value
from scoring.scorecards.scorecard import Evaluation, compile_scorecard, score

_MEASURES: list[dict[str, Any]] = [
    {"measure": "open_tickets", "weight": 2, "curve": [[0, 100], [10, 0]]},
    {"measure": "active_days", "window": 30, "weight": 3, "curve": [[0, 0], [20, 100]]},
    {"measure": "nps", "window": 30, "weight": 1, "curve": [[-100, 0], [100, 100]], "missing": "neutral"},
]
_DOCUMENT = {
    "name": "default",
    "measures": _MEASURES,
    "bands": {"red": 0, "yellow": 40, "green": 70},
    "min_coverage": 0.5,
}
CARD = compile_scorecard(msgspec.convert(_DOCUMENT, ScorecardDocument), 1)


def judged(tickets: Value, days: Value, nps: Value = Missing.NO_USAGE) -> Evaluation:
    """An account with these readings."""
    return score([tickets, days, nps], CARD, 20_000)


def told(before: Evaluation | None, after: Evaluation) -> list[tuple[str, float]]:
    return [(each.measure, round(each.delta, 2)) for each in drivers(before, after)]


def test_between_two_scores_they_are_the_moves() -> None:
    assert told(judged(0, 20), judged(0, 10)) == [("active_days", -25)]


def test_of_an_account_that_was_there_before_its_first_score_they_are_what_is_missing_to_100() -> None:
    nothing_yet = judged(0, Missing.NO_USAGE)
    assert nothing_yet.score is None
    after = judged(0, 4)
    assert told(nothing_yet, after) == told(None, after) == [("active_days", -40), ("nps", -8.33)]


def test_a_score_that_is_not_known_has_none() -> None:
    assert told(judged(0, 20), judged(0, Missing.NO_USAGE)) == []
    assert told(None, judged(0, Missing.NO_USAGE)) == []


readings = st.one_of(st.just(Missing.NO_USAGE), st.floats(-100, 100))


@given(readings, readings, readings, readings, readings)
def test_where_only_one_of_two_scores_is_known_nothing_is_named_for_being_good(
    tickets: Value, days: Value, later_tickets: Value, later_days: Value, nps: Value
) -> None:
    before, after = judged(tickets, days, nps), judged(later_tickets, later_days, nps)
    if before.score is None or after.score is None:
        assert all(each.delta < 0 for each in drivers(before, after))
        expected = [] if after.score is None else shortfalls(after.measures, CARD)
        assert drivers(before, after) == expected
