"""Retention of states: usage days and solved tickets leave by the newest broker day, the rest stays."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from scoring.state.account_state import AccountState
from scoring.state.events import Event, SurveyEvent, TicketEvent, UsageEvent
from tests.support.folding import folded, settled
from tests.support.oracle import Question, day_number
from tests.support.strategies import batches, histories, in_log_order

# Short ones have more to forget.
RETENTIONS = st.sampled_from([2, 3, 7])
FAR = 30_000


def aged(data: st.DataObject, retention: int) -> tuple[list[Event], AccountState]:
    """A log over some retentions, and the state that it leaves when nothing is pending any more."""
    log = in_log_order(data.draw(histories(retention, span=3 * retention)))
    return log, folded(data.draw(batches(log)), retention)


def heard(events: Sequence[Event], day: int, retention: int) -> Question:
    return Question(events, day, retention, {})


@given(st.data(), RETENTIONS)
def test_usage_days_leave_and_the_last_one_is_remembered(data: st.DataObject, retention: int) -> None:
    log, state = aged(data, retention)
    usage = state.usage
    asked = heard(log, usage.newest, retention)
    kept = [use for use in asked.usage() if day_number(use.at) > usage.newest - retention]
    assert list(usage.days) == asked.usage_days()
    assert sum(usage.days.values()) == sum(use.quantity for use in kept)
    assert set(usage.features) == {use.feature for use in kept}
    assert set(usage.users) == {use.user for use in kept if use.user is not None}
    assert usage.last_day == max((day_number(use.at) for use in asked.usage()), default=-1)


@given(st.data(), RETENTIONS)
def test_solved_tickets_leave_and_open_ones_stay(data: st.DataObject, retention: int) -> None:
    log, state = aged(data, retention)
    newest = state.tickets.newest
    stay = {
        ticket.ticket_id
        for ticket in heard(log, newest, retention).tickets()
        if ticket.status not in ("solved", "closed")
        or max(map(day_number, (ticket.at, ticket.solved_at, ticket.created_at))) > newest - retention
    }
    assert set(state.tickets.tickets) == stay


@given(st.data(), RETENTIONS)
def test_every_respondents_last_answer_stays(data: st.DataObject, retention: int) -> None:
    log, state = aged(data, retention)
    answers = settled(state, FAR).surveys.surveys
    expected = {(a.survey, a.respondent): (a.at, a.id) for a in heard(log, FAR, retention).answers()}
    assert {(kind, who): (a.at, a.id) for kind, of in answers.items() for who, a in of.last.items()} == expected


@given(st.data(), RETENTIONS)
def test_attributes_stay(data: st.DataObject, retention: int) -> None:
    log, state = aged(data, retention)
    asked = heard(log, FAR, retention)
    value = settled(state, FAR).attributes.value
    for name in ("seats", "segment", "stage", "started_on", "renews_on"):
        assert value(name) == asked.attribute(name)


@given(st.data())
def test_the_newest_time_of_a_signal_is_that_of_its_newest_event(data: st.DataObject) -> None:
    log, state = aged(data, 30)
    state = settled(state, FAR)
    asked = heard(log, FAR, 30)
    for kind, signal in ((UsageEvent, state.usage), (TicketEvent, state.tickets), (SurveyEvent, state.surveys)):
        times = [event.at for event in asked.heard if isinstance(event, kind)]
        assert signal.newest_at == max(times, default=0)
