"""Points are whole numbers that add up, whatever the scorecard and the account."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scoring.scorecards.contributions import BILLION, add, change, contributions_in_billionths
from scoring.scorecards.document import parse
from scoring.scorecards.scorecard import Evaluation, compile_scorecard, evaluate
from tests.support.folding import folded, settled
from tests.support.strategies import days_after, histories
from tests.support.strategies_scorecards import scorecards

RETENTION = 30
parts = st.dictionaries(st.sampled_from("abcd"), st.integers(-3, 3) | st.integers(-(10**11), 10**11))


@st.composite
def evaluations(draw: st.DrawFn) -> Evaluation:
    """Scores with vetoes, of measures that are missing under any policy, and none below the minimum coverage."""
    events = draw(histories(RETENTION))
    day = draw(days_after(events))
    card = compile_scorecard(parse(draw(scorecards(RETENTION)), RETENTION), 1)
    return evaluate(card, settled(folded([events] if events else [], RETENTION), day), day)


@given(evaluations())
def test_points_sum_exactly_to_the_score(evaluation: Evaluation) -> None:
    if evaluation.score is None:
        assert contributions_in_billionths(evaluation) == {}
    else:
        assert sum(contributions_in_billionths(evaluation).values()) == round(evaluation.score * BILLION)


@given(evaluations())
def test_points_are_the_contributions_but_for_what_rounding_leaves_over(evaluation: Evaluation) -> None:
    counted = contributions_in_billionths(evaluation)
    exact = {name: result.contribution for name, result in evaluation.measures.items()}
    assert counted.keys() == {name for name, contribution in exact.items() if contribution is not None}
    off = {name: abs(part - (exact[name] or 0) * BILLION) for name, part in counted.items()}
    # A float of up to 100 is a billionth exact to five places.
    amiss = {name: difference for name, difference in off.items() if difference > 0.501}
    assert len(amiss) <= 1
    for name, difference in amiss.items():
        assert difference <= len(counted)
        assert counted[name] >= max(counted.values()) - len(counted)


@given(parts, parts)
def test_a_change_leads_from_one_to_the_other_and_names_only_what_moved(a: dict[str, int], b: dict[str, int]) -> None:
    moved = change(a, b)
    assert 0 not in moved.values()
    assert sum(moved.values()) == sum(b.values()) - sum(a.values())
    assert {name: a.get(name, 0) + moved.get(name, 0) for name in {**a, **b}} == {
        name: b.get(name, 0) for name in {**a, **b}
    }


@given(st.lists(parts, min_size=1, max_size=6))
def test_changes_one_after_the_other_add_up_to_the_whole(course: list[dict[str, int]]) -> None:
    total: dict[str, int] = {}
    before: dict[str, Any] = {}
    for after in course:
        add(total, change(before, after))
        before = after
    assert total == change({}, course[-1])


def test_there_are_no_points_before_the_first_score() -> None:
    assert contributions_in_billionths(None) == {}
