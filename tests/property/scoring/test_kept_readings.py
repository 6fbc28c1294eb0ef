"""Readings of measures that the news can't have moved are kept, and are those that would be read again."""

from copy import deepcopy

from hypothesis import given
from hypothesis import strategies as st

from scoring.history.day_by_day import with_due_pending
from scoring.scorecards.catalogue import CATALOGUE
from scoring.scorecards.document import parse
from scoring.scorecards.measure import MeasureSignal
from scoring.scorecards.scorecard import Scorecard, compile_scorecard, read, read_again
from scoring.state.account_state import AccountState, fold
from scoring.state.events import AttributesEvent, Event, SurveyEvent, TicketEvent, UsageEvent
from tests.support.folding import folded
from tests.support.strategies import batches, dated_ahead, days_after, histories
from tests.support.strategies_scorecards import parameters

SIGNALS: dict[type[Event], MeasureSignal] = {
    UsageEvent: "usage",
    TicketEvent: "tickets",
    SurveyEvent: "surveys",
    AttributesEvent: "attributes",
}


@st.composite
def whole_catalogue(draw: st.DrawFn, retention: int) -> Scorecard:
    """A scorecard with every measure, each with some parameters."""
    measures = [
        {"name": name, "measure": name, "weight": 1, "curve": [[0, 0], [1, 100]], **draw(parameters(retention, name))}
        for name in CATALOGUE
    ]
    return compile_scorecard(parse({"name": "default", "measures": measures}, retention), 1)


@st.composite
def some_ahead(draw: st.DrawFn, retention: int) -> list[Event]:
    """Events of every signal in no order; some late, and some dated ahead, which wait in the state."""
    ahead = draw(st.integers(0, 3))
    return [dated_ahead(event) if ahead and not number % ahead else event
            for number, event in enumerate(draw(histories(retention)))]  # fmt: skip


@given(st.data(), st.sampled_from([7, 30]))
def test_kept_readings_are_those_that_would_be_read_again(data: st.DataObject, retention: int) -> None:
    events = data.draw(some_ahead(retention))
    day = data.draw(days_after(events))
    card = data.draw(whole_catalogue(retention))
    state = AccountState()
    readings = read(card, state, day)
    for batch in data.draw(batches(events)):
        fold(state, batch, retention)
        today = with_due_pending(state, day)
        read_again(card, today, day, readings, frozenset([SIGNALS[type(event)] for event in batch]))
        assert dict(zip(card.names, readings, strict=True)) == dict(
            zip(card.names, read(card, today, day), strict=True)
        )


@given(st.data())
def test_no_event_of_another_signal_moves_a_measure(data: st.DataObject) -> None:
    before, news = data.draw(some_ahead(30)), data.draw(some_ahead(30))
    day = data.draw(days_after([*before, *news]))
    state = folded([before] if before else [], 30)
    card = data.draw(whole_catalogue(30))
    known = read(card, with_due_pending(state, day), day)
    for entry, reading in zip(card.measures, known, strict=True):
        moved = deepcopy(state)
        fold(moved, [event for event in news if SIGNALS[type(event)] not in entry.signals], 30)
        assert entry.measure(with_due_pending(moved, day), day) == reading, entry.name
