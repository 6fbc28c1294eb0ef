"""The journal of a day: the change of an account's measures in points, by cause.

Most accounts are moved by the calendar once a day and by events from then on. So the last cause stays open: its effect
is the difference between its start (`base`) and the current score, and folding an event only adds the event's id. When
another cause takes over, the readings at its start and end are stored: the difference in points is computed by readers,
or when the same cause comes again.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec
from msgspec import Raw, Struct, field

from scoring.history.score_run import decode_readings, encode_readings
from scoring.scorecards.contributions import Billionths, add, change, contributions_in_billionths
from scoring.scorecards.scorecard import Evaluation, Scorecard, score

JournalCause = Literal["time", "events", "correction", "scorecard", "override"]
"""`correction`: events about days before the last evaluated one."""

MOST_IDS = 3
"""The number of newest events that a cause lists, and of notes that are stored."""

EventId = tuple[str, str]
"""Source and id."""


class Reason(Struct, frozen=True, gc=False):
    """The reason for a move of the score: the cause, the time (microseconds), the events, and a note."""

    cause: JournalCause
    at: int
    events: int = 0
    names: tuple[str, ...] = ()
    """Source and id of the newest events, alternating."""
    note: str = ""


_NO_ENTRIES, _NO_BASE = Raw(b"\x90"), Raw(b"\xc0")  # an empty array, and nothing, in MessagePack


class JournalEntry(Struct, array_like=True):
    """The effect of one cause on a day. `deltas` lack its effect since it last began."""

    cause: JournalCause
    at: int
    """Time of its last move, in microseconds."""
    events: int = 0
    names: tuple[str, ...] = ()
    """Source and id of the newest events, alternating, which takes half the time of pairs."""
    deltas: Billionths = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[EventId, ...]:
        """Source and id of the newest events."""
        return tuple(zip(self.names[::2], self.names[1::2], strict=True))


class JournalBase(Struct, array_like=True, frozen=True):
    """The start or end of a cause: encoded readings, and the scorecard that they belong to."""

    readings: str
    scorecard: str
    version: int


class ClosedEntry(Struct, array_like=True, frozen=True):
    """A cause that another has replaced, with its last start and end: encoded bases, or nothing."""

    entry: JournalEntry
    began: Raw
    ended: Raw


class Journal(Struct, array_like=True):
    """The causes of a day. Without a base, the open one began at nothing.

    The base and the `closed` stay encoded: adding to the open one doesn't read them.
    """

    open: JournalEntry | None = None
    base: Raw = _NO_BASE
    closed: Raw = _NO_ENTRIES


Moved = tuple[JournalEntry, Mapping[str, int]]
"""An entry, and the change of each measure by its cause."""

FindScorecard = Callable[[str, int], Scorecard | None]

_base = msgspec.msgpack.Decoder(JournalBase | None)
_closed = msgspec.msgpack.Decoder(list[ClosedEntry])
_encode = msgspec.msgpack.Encoder().encode


def base_of(evaluation: Evaluation | None) -> JournalBase | None:
    """The base of a cause that starts or ends at this evaluation."""
    if evaluation is None:
        return None
    return JournalBase(encode_readings(evaluation.readings), evaluation.card.name, evaluation.card.version)


def note(journal: Journal, reason: Reason, before: Callable[[], JournalBase | None], find: FindScorecard) -> None:
    """Record in `journal`, in place, that `reason` is about to change the base that `before` returns.

    `before` is only called when another cause takes over; `find` finds the scorecard of a base.
    """
    entry = journal.open
    if entry is None or entry.cause != reason.cause:
        entry = _take_over(journal, reason, before(), find)
    entry.at = reason.at
    entry.events += reason.events
    if reason.names:
        entry.names = (*entry.names, *reason.names)[-2 * MOST_IDS :]
    if reason.note and reason.note not in entry.notes:
        entry.notes = (*entry.notes, reason.note)[-MOST_IDS:]


def _take_over(journal: Journal, reason: Reason, current: JournalBase | None, find: FindScorecard) -> JournalEntry:
    base = Raw(_encode(current)) if current else _NO_BASE
    if journal.open is None:
        journal.open = JournalEntry(reason.cause, reason.at)
        journal.base = base
        return journal.open
    closed = _closed.decode(journal.closed)
    again = next((each for each in closed if each.entry.cause == reason.cause), None) if closed else None
    closed.append(ClosedEntry(journal.open, journal.base, base))
    if again is None:
        entry = JournalEntry(reason.cause, reason.at)
    else:
        closed.remove(again)
        entry = again.entry
        add(entry.deltas, _between(again.began, _evaluated(again.ended, find), find))
    journal.closed = Raw(_encode(closed))
    journal.open = entry
    journal.base = base
    return entry


def _between(began: Raw, ended: Evaluation | None, find: FindScorecard) -> Billionths:
    return change(contributions_in_billionths(_evaluated(began, find)), contributions_in_billionths(ended))


def _evaluated(stored: Raw, find: FindScorecard) -> Evaluation | None:
    base = _base.decode(stored)
    card = find(base.scorecard, base.version) if base else None
    return score(decode_readings(base.readings), card, 0) if base and card else None


def entries(journal: Journal, current: Evaluation | None, find: FindScorecard) -> list[Moved]:
    """The entry of each cause with its whole effect; `current` is the evaluation at the day's end."""
    if journal.open is None:
        return []
    found = [(each.entry, each.began, _evaluated(each.ended, find)) for each in _closed.decode(journal.closed)]
    moved: list[Moved] = []
    for entry, began, ended in [*found, (journal.open, journal.base, current)]:
        deltas = dict(entry.deltas)
        add(deltas, _between(began, ended, find))
        moved.append((entry, deltas))
    return moved
