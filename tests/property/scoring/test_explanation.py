"""Explanations add up: whatever an account has been through, causes and measures sum to what its score moved."""

from collections import Counter
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from scoring.history.explanation import OVERRIDE, UNRECORDED, Explanation, explain_change
from scoring.history.runs import Past
from scoring.rules.policy import Policy
from scoring.scorecards.contributions import BILLION
from tests.support.courses import Stop, advance_through, anyhow, policies, streams

Moves = Counter[tuple[str, str]]
"""Changes in billionths of a point, by cause and measure."""


class Life:
    """An account that was advanced over days and gaps, with events, new scorecards and overrides."""

    def __init__(self, stops: list[Stop]) -> None:
        self.past = Past(advance_through(stops).runs)
        self.policy: Policy = stops[-1].policy
        self.days = range(self.past.first_day, self.past.runs[-1].day + 1)

    def forget_journals(self) -> None:
        """Make all days look like those from before there were journals."""
        self.past = Past([replace(run, journal=None) for run in self.past.runs])

    def explained(self, first: int, last: int) -> Explanation:
        found = explain_change(self.past, first, last, self.policy.find)
        assert found is not None
        return found

    def score(self, day: int) -> int:
        """The score that counts at the end of a day, by hand or computed; 0 where it is unknown."""
        run = self.past.at(day)
        if run is None:
            return 0
        by_hand = run.override.score if run.override else None
        billionths: int = round((run.score or 0.0 if by_hand is None else by_hand) * BILLION)
        return billionths


@st.composite
def lives(draw: st.DrawFn) -> Life:
    return Life(draw(anyhow(draw(streams()), draw(policies()))))


def moves(explanation: Explanation) -> Moves:
    moved: Moves = Counter()
    for effect in explanation.effects:
        moved.update({(effect.cause, measure): delta for measure, delta in effect.deltas.items()})
    return moved


def nonzero(moved: Moves) -> dict[tuple[str, str], int]:
    return {each: delta for each, delta in moved.items() if delta}


def causes(explanation: Explanation) -> list[str]:
    return [effect.cause for effect in explanation.effects]


@given(st.data(), lives())
def test_causes_and_measures_sum_to_the_change_and_nothing_is_unrecorded(data: st.DataObject, life: Life) -> None:
    days = st.sampled_from([life.days[0] - 1, *life.days])
    first, last = sorted([data.draw(days), data.draw(st.sampled_from(life.days))])
    why = life.explained(first, last)
    assert why.change == life.score(last) - life.score(first)
    assert sum(effect.delta for effect in why.effects) == why.change
    assert sum(why.measures.values()) == why.change
    assert UNRECORDED not in causes(why)
    assert len(set(causes(why))) == len(why.effects)


@given(lives())
def test_explanations_telescope(life: Life) -> None:
    """The change between two days is the sum of the daily changes, by cause and by measure."""
    daily = [moves(life.explained(before, after)) for before, after in pairwise(life.days)]
    for index, first in enumerate(life.days):
        total: Moves = Counter()
        for last, moved in zip(life.days[index + 1 :], daily[index:], strict=True):
            total.update(moved)
            assert nonzero(moves(life.explained(first, last))) == nonzero(total)


@given(lives())
def test_another_scorecard_is_a_cause_of_its_own(life: Life) -> None:
    for before, after in pairwise(life.past.runs):
        why = life.explained(before.day, after.day)
        if (before.scorecard, before.version) != (after.scorecard, after.version):
            assert "scorecard" in causes(why)
        else:
            assert not any(effect.delta for effect in why.effects if effect.cause == "scorecard")


@given(st.data(), lives())
def test_without_journals_all_but_what_was_set_by_hand_is_unrecorded(data: st.DataObject, life: Life) -> None:
    first, last = sorted(data.draw(st.sampled_from(life.days)) for _ in range(2))
    told = life.explained(first, last)
    life.forget_journals()
    why = life.explained(first, last)
    assert set(causes(why)) <= {UNRECORDED, OVERRIDE}
    assert why.change == told.change
    assert why.measures == told.measures
