"""Event logs as lines: one CloudEvent in JSON on each, gzipped or not."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from msgspec import Raw

from service.cloudevents import InvalidEventError, signal_of, type_of
from service.errors import HealthError
from service.loading.drafts import CHUNK_ROWS, Draft, Drafts, Refused
from service.loading.fields import Kind, fields_of
from service.loading.shifting import moved_source, shift_day, shift_moment
from service.settings import Signal

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_TRUE = Raw(b"true")
_NULL = Raw(b"null")
_object = msgspec.json.Decoder(dict[str, Raw])
_encode = msgspec.json.Encoder().encode


class NdjsonLog:
    """A file of CloudEvents, one a line. A row's number is its line's; blank lines are passed over."""

    rows = None

    def __init__(self, path: Path, signal: Signal | None = None) -> None:
        """All events must be of `signal`, if one is given. Raises `HealthError` if the file can't be read."""
        self.path = path
        self._signal = signal
        with self._reading() as file:
            file.read(1)  # a file that can't be read shows here

    def drafts(self, first_row: int, source: str, shift_days: int) -> Iterator[Drafts]:
        """See `EventLog`. Events name their source themselves."""
        row = first_row
        for lines in self._chunks(first_row - 1):
            chunk = Drafts(row + len(lines), [], [])
            for line in lines:
                if not line.isspace():
                    self._add(chunk, row, line, shift_days)
                row += 1
            yield chunk

    def _add(self, chunk: Drafts, row: int, line: bytes, shift_days: int) -> None:
        try:
            chunk.drafts.append(self._draft(row, line, shift_days))
        except InvalidEventError as error:
            chunk.refused.append(Refused(row, str(error)))

    def _draft(self, row: int, line: bytes, shift_days: int) -> Draft:
        try:
            event = _object.decode(line)
        except msgspec.DecodeError as error:
            raise InvalidEventError("event", f"one CloudEvent in JSON is needed on each line: {error}") from None
        for name in ("type", "subject"):
            if name not in event:
                raise InvalidEventError(name, "is missing")
        signal = signal_of(msgspec.json.decode(event["type"]))
        if self._signal not in (None, signal):
            raise InvalidEventError(
                "type", f"{type_of(signal)} is not for this topic; without --topic it finds its own"
            )
        if shift_days:
            _shift(event, signal, shift_days)
        event["backfill"] = _TRUE
        return Draft(row, signal, msgspec.json.decode(event["subject"]), _encode(event))

    def _chunks(self, skip: int) -> Iterator[list[bytes]]:
        with self._reading() as file:
            if file.read(len(_BYTE_ORDER_MARK)) != _BYTE_ORDER_MARK:
                file.seek(0)
            lines = iter(file)
            next(islice(lines, skip, skip), None)
            while chunk := list(islice(lines, CHUNK_ROWS)):
                yield chunk

    @contextmanager
    def _reading(self) -> Iterator[BinaryIO]:
        try:
            opened: Any = gzip.open if self.path.suffix == ".gz" else open
            with opened(self.path, "rb") as file:
                yield file
        except (OSError, EOFError, zlib.error) as error:
            raise HealthError(f"{self.path} can't be read: {error}", "Check that it is complete") from None


_MOVES: dict[Kind, Callable[[str, int], str]] = {"moment": shift_moment, "day": shift_day}


@cache
def _moves(signal: Signal) -> dict[str, Callable[[str, int], str]]:
    """How each field of `data` that holds a moment or a day is moved."""
    fields = fields_of(signal).items()
    return {name: _MOVES[field.kind] for name, field in fields if field.in_data and field.kind in _MOVES}


def _shift(event: dict[str, Raw], signal: Signal, days: int) -> None:
    """Move the event's time, and every moment and day in its data; its source says so."""
    _replace(event, "source", moved_source, days)
    _replace(event, "time", shift_moment, days)
    if not (moves := _moves(signal)):
        return
    try:
        data = _object.decode(event["data"])
    except (KeyError, msgspec.DecodeError):
        return  # the check will name it
    for name in data.keys() & moves.keys():
        _replace(data, name, moves[name], days)
    event["data"] = Raw(_encode(data))


def _replace(values: dict[str, Raw], name: str, move: Callable[[str, int], str], days: int) -> None:
    """Move a text; what is no text stays for the check to name."""
    text = msgspec.json.decode(values.get(name, _NULL))
    if isinstance(text, str):
        values[name] = Raw(_encode(move(text, days)))
