"""A journal as it is stored: the merged part, followed by the last few causes unmerged.

Decoding a journal, recording a cause and encoding it again takes a fold longer than all its other writes. So a fold
only appends the cause, or adds to the last one if that goes on, as it does most of the day. When too many wait, and for
readers, the causes are merged.
"""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from scoring.history.journal import MOST_IDS, FindScorecard, Journal, JournalBase, JournalCause, Reason, note

MOST_WAITING = 3
"""The number of unmerged causes."""


class _Waiting(Struct, array_like=True, frozen=True, gc=False):
    """An unmerged cause. Without a base it continues: the cause before it is the same, or there is none."""

    at: int
    events: int
    names: tuple[str, ...]
    note: str
    base: JournalBase | None
    cause: JournalCause
    """The last field, so that it can be compared without decoding."""

    def began(self) -> JournalBase | None:
        return self.base


_journal = msgspec.msgpack.Decoder(Journal)
_parts = msgspec.msgpack.Decoder(list[Raw])
_waiting = msgspec.msgpack.Decoder(_Waiting)
_encode = msgspec.msgpack.Encoder().encode

_EMPTY: Final = _encode(Journal())
_MERGED: Final = len(Journal.__struct_fields__)
_COUNTS: Final = [bytes([_EMPTY[0] + waiting]) for waiting in range(MOST_WAITING + 1)]
"""The first byte of a journal, which holds its number of parts, by the number of unmerged causes."""


def encode_journal(journal: Journal) -> bytes:
    """The stored bytes."""
    return _encode(journal)


def decode_journal(stored: bytes | None, find: FindScorecard) -> Journal:
    """The stored journal with all causes merged; an empty one for None. `find` finds the scorecard of a base."""
    if not stored:
        return Journal()
    journal = _journal.decode(stored)  # skips the unmerged causes
    for part in _parts.decode(stored)[_MERGED:] if has_waiting(stored) else ():
        waiting = _waiting.decode(part)
        cause = Reason(waiting.cause, waiting.at, waiting.events, waiting.names, waiting.note)
        note(journal, cause, waiting.began, find)
    return journal


def has_waiting(stored: bytes | None) -> bool:
    """True if there are unmerged causes."""
    return stored is not None and stored[:1] not in (b"", _COUNTS[0])


def note_stored(stored: bytes | None, reason: Reason, before: JournalBase | None, find: FindScorecard) -> bytes:
    """Record in a stored journal that `reason` is about to change the base `before`: `journal.note`, deferred."""
    stored = stored or _EMPTY
    count = stored[0] - _EMPTY[0]
    base = before
    if count and stored.endswith(reason.cause.encode()):
        base = None
        part = _parts.decode(stored)[-1]
        last = _waiting.decode(part)
        if last.note == reason.note:
            return stored[: -len(part)] + _encode(_gone_on(last, reason))
    if count == MOST_WAITING:
        journal = decode_journal(stored, find)
        note(journal, reason, lambda: before, find)
        return encode_journal(journal)
    waiting = _Waiting(reason.at, reason.events, reason.names, reason.note, base, reason.cause)
    return _COUNTS[count + 1] + stored[1:] + _encode(waiting)


def _gone_on(last: _Waiting, reason: Reason) -> _Waiting:
    """The last cause after the same one has come again."""
    names = reason.names if len(reason.names) == 2 * MOST_IDS else (*last.names, *reason.names)[-2 * MOST_IDS :]
    return _Waiting(reason.at, last.events + reason.events, names, last.note, last.base, last.cause)
