"""A journal as it is stored: what was merged, and behind it the last few causes as they came.

To decode a journal, note a cause in it and encode it again takes a fold longer than all else that it writes. So a fold
only adds the cause at the end. Every few times, and for whoever reads them, they are merged.
"""

from typing import Final

import msgspec
from msgspec import Raw, Struct

from scoring.history.journal import FindScorecard, Journal, JournalBase, JournalCause, Reason, note

MOST_WAITING = 3
"""How many causes wait behind what was merged."""


class _Waiting(Struct, array_like=True, frozen=True, gc=False):
    """A cause to be noted. Without a base it goes on: the one before it is the same, or there is none."""

    at: int
    events: int
    names: tuple[str, ...]
    note: str
    base: JournalBase | None
    cause: JournalCause
    """Comes last, where it can be told without decoding."""

    def began(self) -> JournalBase | None:
        return self.base


_journal = msgspec.msgpack.Decoder(Journal)
_parts = msgspec.msgpack.Decoder(list[Raw])
_waiting = msgspec.msgpack.Decoder(_Waiting)
_encode = msgspec.msgpack.Encoder().encode

_EMPTY: Final = _encode(Journal())
_MERGED: Final = len(Journal.__struct_fields__)
_COUNTS: Final = [bytes([_EMPTY[0] + waiting]) for waiting in range(MOST_WAITING + 1)]
"""The first byte of a journal, which says of how many parts it is, by how many are waiting."""


def encode_journal(journal: Journal) -> bytes:
    """The bytes that are stored."""
    return _encode(journal)


def decode_journal(stored: bytes | None, find: FindScorecard) -> Journal:
    """What was stored, with all that waited merged; an empty journal for None. `find` finds the scorecard of a base."""
    if not stored:
        return Journal()
    journal = _journal.decode(stored)  # passes over what waits
    for part in _parts.decode(stored)[_MERGED:] if has_waiting(stored) else ():
        waiting = _waiting.decode(part)
        cause = Reason(waiting.cause, waiting.at, waiting.events, waiting.names, waiting.note)
        note(journal, cause, waiting.began, find)
    return journal


def has_waiting(stored: bytes | None) -> bool:
    """Whether causes wait to be merged."""
    return stored is not None and stored[:1] not in (b"", _COUNTS[0])


def note_stored(stored: bytes | None, reason: Reason, before: JournalBase | None, find: FindScorecard) -> bytes:
    """Note that `reason` is about to move what `before` is: `journal.note` on a stored journal, put off."""
    stored = stored or _EMPTY
    count = stored[0] - _EMPTY[0]
    if count == MOST_WAITING:
        journal = decode_journal(stored, find)
        note(journal, reason, lambda: before, find)
        return encode_journal(journal)
    goes_on = count and stored.endswith(reason.cause.encode())
    base = None if goes_on else before
    waiting = _Waiting(reason.at, reason.events, reason.names, reason.note, base, reason.cause)
    return _COUNTS[count + 1] + stored[1:] + _encode(waiting)
