"""Missing data moves a score only as its policy for missing data says."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.scorecards.document import parse
from scoring.scorecards.scorecard import Evaluation, compile_scorecard, evaluate
from scoring.state.account_state import AccountState
from tests.support.folding import folded, settled
from tests.support.strategies import days_after, histories
from tests.support.strategies_scorecards import scorecards

RETENTION = 30
Entry = dict[str, Any]


def judged(measures: list[Entry], state: AccountState, day: int) -> Evaluation:
    document = {"name": "default", "measures": measures, "min_coverage": 0}
    return evaluate(compile_scorecard(parse(document, RETENTION), 1), state, day)


def always(score: float, entry: Entry) -> Entry:
    """An entry of the same weight that always has data and always scores the same."""
    return {"name": entry["name"], "measure": "open_tickets", "weight": entry["weight"], "curve": [[0, score]]}


def scored_if_missing(policy: Any) -> float:
    """The score that a policy other than `exclude` gives a measure without data."""
    return float(policy["score"]) if isinstance(policy, dict) else 50.0 if policy == "neutral" else 0.0


@given(st.data(), scorecards(RETENTION))
def test_what_is_missing_counts_as_its_policy_says(data: st.DataObject, document: dict[str, Any]) -> None:
    events = data.draw(histories(RETENTION).map(lambda events: events[:6]))
    day = data.draw(days_after(events))
    state = settled(folded([events] if events else [], RETENTION), day)
    measures: list[Entry] = document["measures"]
    results = judged(measures, state, day).measures
    as_if: list[Entry] = []
    for entry in measures:
        if results[entry["name"]].missing is None:
            as_if.append(entry)
        elif entry["missing"] != "exclude":
            as_if.append(always(scored_if_missing(entry["missing"]), entry))
    if any(entry["weight"] for entry in as_if):
        expected = judged(as_if, state, day).score
        assert judged(measures, state, day).score == pytest.approx(expected, abs=2e-9)
    else:
        assert judged(measures, state, day).score is None


@given(st.data(), scorecards(RETENTION))
def test_worst_never_scores_above_neutral_and_neither_leaves_the_range_to_50(
    data: st.DataObject, document: dict[str, Any]
) -> None:
    day = data.draw(days_after([]))
    excluded, neutral, worst = (
        judged([{**entry, "missing": policy} for entry in document["measures"]], AccountState(), day).score
        for policy in ("exclude", "neutral", "worst")
    )
    assert worst is not None
    assert neutral is not None
    assert worst <= neutral
    if excluded is not None:
        assert worst <= excluded
        assert min(excluded, 50) - 1e-9 <= neutral <= max(excluded, 50) + 1e-9
