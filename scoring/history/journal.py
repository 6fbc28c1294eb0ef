"""The journal of a day: by what an account's measures moved, in points, cause by cause.

Most accounts are moved by the calendar once a day and by events from then on. So the last cause stays open: what it
moved is the difference between where it began (`base`) and where the score stands, and folding an event only adds the
event's id. When another cause takes over, it is kept where it began and where it ended, as what measures read: the
difference in points is worked out by who asks, or when the same cause comes again.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec
from msgspec import Raw, Struct, field

from scoring.scorecards.contributions import Billionths, add, change, contributions_in_billionths
from scoring.scorecards.readings import decode_readings, encode_readings
from scoring.scorecards.scorecard import Evaluation, Scorecard, score

JournalCause = Literal["time", "events", "correction", "scorecard", "override"]
"""`correction`: events that tell of days before the one that the account was last judged at."""

MOST_IDS = 3
"""How many events a cause names: the newest. So many words on it are kept, too."""

EventId = tuple[str, str]
"""Source and id."""


class Reason(Struct, frozen=True, gc=False):
    """Why a score moved, to be noted: the cause, when (microseconds), the events, and a word on it."""

    cause: JournalCause
    at: int
    events: int = 0
    names: tuple[str, ...] = ()
    """Of the newest events: source and id, in turn."""
    note: str = ""


_NO_ENTRIES, _NO_BASE = Raw(b"\x90"), Raw(b"\xc0")  # an empty array, and nothing, in MessagePack


class JournalEntry(Struct, array_like=True):
    """What one cause moved on a day. `deltas` lack what it has moved since it began the last time."""

    cause: JournalCause
    at: int
    """When it last did, in microseconds."""
    events: int = 0
    names: tuple[str, ...] = ()
    """Of the newest events: source and id, in turn, which takes half the time of pairs."""
    deltas: Billionths = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def ids(self) -> tuple[EventId, ...]:
        """Of the newest events."""
        return tuple(zip(self.names[::2], self.names[1::2], strict=True))


class JournalBase(Struct, array_like=True, frozen=True):
    """Where a cause began, or ended: readings as encoded, and the scorecard that judged them."""

    readings: str
    scorecard: str
    version: int


class ClosedEntry(Struct, array_like=True, frozen=True):
    """A cause that another has taken over from, and where it began and ended the last time: bases, or nothing."""

    entry: JournalEntry
    began: Raw
    ended: Raw


class Journal(Struct, array_like=True):
    """A day's causes. Without a base, the open one began at nothing. The base and the `closed` are left encoded: adding
    to the open one needn't look at them.
    """

    open: JournalEntry | None = None
    base: Raw = _NO_BASE
    closed: Raw = _NO_ENTRIES


Moved = tuple[JournalEntry, Mapping[str, int]]
"""An entry, and by how much its cause moved each measure."""

FindScorecard = Callable[[str, int], Scorecard | None]

_base = msgspec.msgpack.Decoder(JournalBase | None)
_closed = msgspec.msgpack.Decoder(list[ClosedEntry])
_encode = msgspec.msgpack.Encoder().encode


def base_of(evaluation: Evaluation | None) -> JournalBase | None:
    """What a cause begins or ends at that finds this evaluation."""
    if evaluation is None:
        return None
    return JournalBase(encode_readings(evaluation.readings), evaluation.card.name, evaluation.card.version)


def note(journal: Journal, reason: Reason, before: Callable[[], JournalBase | None], find: FindScorecard) -> None:
    """Note in `journal`, in place, that `reason` is about to move what `before` gives.

    `before` is only asked where another cause takes over; `find` finds the scorecard of a base.
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
    """Each cause's entry with all that it moved; `current` is what the score came to at the day's end."""
    if journal.open is None:
        return []
    found = [(each.entry, each.began, _evaluated(each.ended, find)) for each in _closed.decode(journal.closed)]
    moved: list[Moved] = []
    for entry, began, ended in [*found, (journal.open, journal.base, current)]:
        deltas = dict(entry.deltas)
        add(deltas, _between(began, ended, find))
        moved.append((entry, deltas))
    return moved
