"""Random histories of one account, as its topics could bring them.

They are small and crowded on purpose: few moments, names and hashes, so that ties, overwriting and the edges of days,
windows and retention all happen within a handful of events.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import chain, pairwise, product
from typing import Any, NamedTuple

from hypothesis import strategies as st
from msgspec.structs import replace

from scoring.state.events import (
    AttributesEvent,
    AttributeValue,
    Event,
    SurveyEvent,
    SurveyKind,
    TicketEvent,
    UsageEvent,
)
from tests.support.oracle import DAY, HOUR, day_number, is_late

FIRST_DAY = 20_000
MINUTE = HOUR // 60
FEATURES = ("login", "export", "report")
HASHES = (0, 1, 2**63, 2**64 - 2)
PRIORITIES = ("low", "normal", "high", "urgent")
ACCOUNT = "acme"


class Stamp(NamedTuple):
    """The moment of an event, and the day on which the broker took its record."""

    at: int
    broker_day: int


@cache
def stamps(retention: int, span: int) -> st.SearchStrategy[Stamp]:
    """Stamps of records taken within `span` days: on time, up to five minutes early, days late, too late to count."""
    delays = [0, -5 * MINUTE, -MINUTE, HOUR] * (1 + retention // 6) + [days * DAY for days in range(retention + 2)]
    taken = [
        (FIRST_DAY + day) * DAY + time for day in range(span + 1) for time in (12 * HOUR, 0, DAY - MINUTE, DAY - 1)
    ]
    return st.sampled_from([Stamp(moment - delay, day_number(moment)) for moment in taken for delay in delays])


def usage_events(stamp: st.SearchStrategy[Stamp]) -> st.SearchStrategy[Event]:
    """Usage of a few features by a few users, some of them unnamed."""

    def event(stamp: Stamp, use: tuple[str, int | None, int]) -> Event:
        return UsageEvent(ACCOUNT, stamp.at, day_number(stamp.at), stamp.broker_day, *use)

    return st.builds(event, stamp, _anyhow(FEATURES, [*HASHES, None], [1, 2, 5]))


@st.composite
def ticket_histories(draw: st.DrawFn, stamp: st.SearchStrategy[Stamp], ticket_id: str) -> list[Event]:
    """Snapshots of one ticket that is opened, worked on, solved and reopened, in any order.

    Other systems set the dates: some say that it was created in the future, or solved before.
    """
    taken = sorted(draw(st.lists(stamp, max_size=4)))
    if not taken:
        return []
    created_at = taken[0].at - draw(st.sampled_from([0, HOUR, DAY, 40 * DAY, -HOUR, -3 * DAY]))
    solved_at = reopens = 0
    history: list[Event] = []
    for at, broker_day in taken:
        status, when, forgets, priority, satisfaction = draw(_SNAPSHOTS)
        if status in ("solved", "closed"):
            # Some senders never give the time.
            solved_at = (
                solved_at
                or {"now": at, "earlier": at - 1, "before": at - 3 * DAY, "later": at + DAY, "unsaid": 0}[when]
            )
        else:
            reopens += bool(solved_at)
            # Some forget the solution of a ticket that is open again, others go on sending it.
            solved_at = 0 if forgets else solved_at
        told = (status, priority, created_at, solved_at, reopens, satisfaction)
        history.append(TicketEvent(ACCOUNT, at, broker_day, "", ticket_id, *told))
    return history


def survey_events(stamp: st.SearchStrategy[Stamp]) -> st.SearchStrategy[Event]:
    """Answers of all kinds, whole and fractional, on the usual scale or another."""

    def event(stamp: Stamp, answer: tuple[SurveyKind, int, int, int], respondent: int) -> Event:
        survey, score, scale_max, scale_min = answer
        return SurveyEvent(ACCOUNT, stamp.at, stamp.broker_day, "", survey, respondent, score, scale_max, scale_min)

    return st.builds(event, stamp, st.sampled_from(_ANSWERS), st.sampled_from(HASHES))


def attributes_events(stamp: st.SearchStrategy[Stamp]) -> st.SearchStrategy[Event]:
    """Attributes that are set and cleared, a few at a time."""
    dates = ["2024-02-29", "2024-10-04", "2025-12-31", None]
    values: dict[str, list[AttributeValue]] = {
        "seats": [1, 7, 0, None],
        "segment": ["smb", "enterprise", "None", None],
        "stage": ["trial", "live", None],
        "started_on": [*dates],
        "renews_on": [*dates],
    }

    def event(stamp: Stamp, given: tuple[AttributeValue, ...]) -> Event:
        said = {name: value for name, value in zip(values, given, strict=True) if value != _UNSAID}
        return AttributesEvent(ACCOUNT, stamp.at, stamp.broker_day, "", said)

    return st.builds(event, stamp, _anyhow(*([_UNSAID, *choices] for choices in values.values())))


def _anyhow(*choices: Iterable[Any]) -> st.SearchStrategy[Any]:
    # One draw instead of one for each choice: histories are long, and draws take most of the time.
    return st.sampled_from(list(product(*choices)))


_UNSAID = "(unsaid)"
_SNAPSHOTS = _anyhow(
    ["open", "solved", "closed", "new", "pending", "hold"],
    ["now", "earlier", "before", "later", "unsaid"],
    [True, False],
    PRIORITIES,
    ["", "good", "bad"],
)
_SURVEYS: list[tuple[SurveyKind, int, int]] = [
    ("nps", 0, 10),
    ("csat", 1, 5),
    ("csat", 1, 10),
    ("csat", 0, 1),
    ("csat", 0, 10),
    ("ces", -3, 3),
    ("ces", 1, 7),
    ("ces", 1, 5),
]
_ANSWERS: list[tuple[SurveyKind, int, int, int]] = [
    (survey, halves * 500_000, scale * 1_000_000, lowest * 1_000_000)
    for survey, lowest, scale in _SURVEYS
    for halves in range(2 * lowest, 2 * scale + 1)
    if survey != "nps" or halves % 2 == 0
]


@st.composite
def histories(draw: st.DrawFn, retention: int, span: int = 60, *, ids: Sequence[str] = ()) -> list[Event]:
    """Events of all signals in no order, some of them late, each with an id of its own.

    With `ids` they share those instead, as events of different sources can.
    """
    usage, tickets, surveys, attributes = draw(_signals(retention, span))
    events = [*usage, *chain.from_iterable(tickets), *surveys, *attributes]
    shuffled = draw(st.permutations(events))
    return [
        event
        if isinstance(event, UsageEvent)
        else replace(event, id=draw(st.sampled_from(ids)) if ids else str(number))
        for number, event in enumerate(shuffled)
    ]


# Kept, because building a strategy takes longer than drawing from it.
@cache
def _signals(retention: int, span: int) -> st.SearchStrategy[tuple[Any, ...]]:
    stamp = stamps(retention, span)
    return st.tuples(
        st.lists(usage_events(stamp), max_size=8),
        st.tuples(*(ticket_histories(stamp, ticket_id) for ticket_id in ("T-1", "T-2", "T-3"))),
        st.lists(survey_events(stamp), max_size=6),
        st.lists(attributes_events(stamp), max_size=5),
    )


def within_retention(events: Sequence[Event], retention: int) -> list[Event]:
    """The events that are within retention of the newest broker day of their signal, in any order of arrival."""
    newest = {type(event): 0 for event in events}
    for event in events:
        newest[type(event)] = max(newest[type(event)], event.broker_day)
    return [e for e in events if day_number(e.at) > newest[type(e)] - retention and not is_late(e, retention)]


def dated_ahead(event: Event) -> Event:
    """The event, dated in the first five minutes of the day after its record was taken."""
    day = event.broker_day + 1
    at = day * DAY + event.at % (5 * MINUTE)
    return replace(event, at=at, day=day) if isinstance(event, UsageEvent) else replace(event, at=at)


def in_log_order(events: Sequence[Event]) -> list[Event]:
    """The events in a log's order: the broker's days never go back, the moments of events may."""
    return sorted(events, key=lambda event: event.broker_day)


@st.composite
def batches(draw: st.DrawFn, events: Sequence[Event]) -> list[list[Event]]:
    """The events, in their order, cut into batches that are not empty."""
    cuts = draw(st.sets(st.integers(1, len(events) - 1), max_size=4)) if len(events) > 1 else set()
    return [list(events[first:last]) for first, last in pairwise([0, *sorted(cuts), len(events)]) if first < last]


@st.composite
def with_copies(draw: st.DrawFn, events: Sequence[Event]) -> list[Event]:
    """The events with second copies of some, anywhere after the first; not of usage, as those never reach a fold."""
    copied = list(events)
    identified = [event for event in events if not isinstance(event, UsageEvent)]
    for event in draw(st.lists(st.sampled_from(identified), max_size=6)) if identified else []:
        copied.insert(draw(st.integers(copied.index(event) + 1, len(copied))), event)
    return copied


def days_after(events: Sequence[Event], longest: int = 120) -> st.SearchStrategy[int]:
    """Days on which an account with these events can be scored: its newest broker day or later."""
    newest = max([event.broker_day for event in events], default=FIRST_DAY)
    return st.one_of(st.sampled_from([0, 1, 2]), st.integers(0, longest)).map(lambda later: newest + later)
