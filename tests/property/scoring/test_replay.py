"""A replay is what the service would have stored, and its short form has the same scores and crossings."""

from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from scoring.advance import advance
from scoring.backtest.replay import Replay, replay, replay_scores
from scoring.rules.policy import Policy
from scoring.state.account_state import AccountState
from scoring.state.calendar import MICROSECONDS_PER_DAY, start_of
from scoring.state.events import AttributesEvent, Event
from tests.property.scoring.test_forecast import RETENTION, policies
from tests.support.folding import encoded
from tests.support.strategies import histories


def ends(events: Sequence[Event]) -> st.SearchStrategy[int]:
    """A moment among the events or after them."""
    last = max((event.at for event in events), default=start_of(20_000))
    return st.sampled_from([0, 1, MICROSECONDS_PER_DAY, 40 * MICROSECONDS_PER_DAY, -3 * MICROSECONDS_PER_DAY]).map(
        lambda more: last + more
    )


def crossed(past: Replay) -> list[Any]:
    return [(each.at, each.crossing.rule.id, each.crossing.state, each.score) for each in past.crossings]


@given(st.data(), histories(RETENTION), policies())
def test_the_short_form_has_the_same_scores_and_crossings(
    data: st.DataObject, events: list[Event], policy: Policy
) -> None:
    until = data.draw(ends(events))
    full, short = replay(events, policy, until), replay_scores(events, policy, until)
    assert short.scores == full.scores
    assert crossed(short) == crossed(full)
    assert (short.memory, short.due, short.late) == (full.memory, full.due, full.late)
    assert encoded(short.state) == encoded(full.state)


@given(st.data(), histories(RETENTION), policies())
def test_runs_tile_the_days_and_have_their_scores(data: st.DataObject, events: list[Event], policy: Policy) -> None:
    past = replay(events, policy, data.draw(ends(events)))
    runs = [*past.closed, past.score_run] if past.score_run else []
    days = [(day, run.score, run.band) for run in runs for day in range(run.since, run.day + 1)]
    assert days == past.scores


@given(st.data(), histories(RETENTION), policies())
def test_the_order_of_the_events_makes_no_difference(data: st.DataObject, events: list[Event], policy: Policy) -> None:
    until = data.draw(ends(events))
    assert replay_scores(data.draw(st.permutations(events)), policy, until).scores == (
        replay_scores(events, policy, until).scores
    )


@given(st.data(), histories(RETENTION), policies())
def test_who_replays_up_to_today_goes_on_as_if_it_had_been_live(
    data: st.DataObject, events: list[Event], policy: Policy
) -> None:
    """The end of one replay is the start of the days after it."""
    until = data.draw(ends(events))
    past = replay(events, policy, until)
    if past.score_run is None:
        return
    later = replay(events, policy, until + 3 * MICROSECONDS_PER_DAY)
    rest = [event for event in events if until < event.at <= until + 3 * MICROSECONDS_PER_DAY]
    if rest:
        return
    state: AccountState = past.state
    run, memory, due = past.score_run, past.memory, past.due
    while due <= until + 3 * MICROSECONDS_PER_DAY:
        step = advance(state, run, memory, (), policy, due)
        run, memory, due = step.score_run, step.memory, step.due
    assert (run, memory, due) == (later.score_run, later.memory, later.due)


@given(histories(RETENTION), policies(), st.dates().map(str))
def test_a_start_from_elsewhere_serves_where_no_event_gives_one(
    events: list[Event], policy: Policy, started_on: str
) -> None:
    until = max((event.at for event in events), default=0)
    past = replay(events, policy, until, started_on)
    if any(isinstance(event, AttributesEvent) and "started_on" in event.values for event in events):
        assert past == replay(events, policy, until)
    elif past.scores:
        assert past.state.attributes.value("started_on") == started_on
