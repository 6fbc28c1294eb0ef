"""Event logs in JSON: one CloudEvent on each line, or an array of them; gzipped or not."""

import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Raw

from service.jobs.load.event_fields import FieldKind, fields_of
from service.jobs.load.file_type import HEAD_BYTES, form_of
from service.jobs.load.row_validation import CHUNK_ROWS, EventDraft, EventDrafts, RefusedRow
from service.jobs.load.terminal import readable
from service.jobs.load.text_rows import MOST_ROW_BYTES, ArrayError, elements, lines
from service.jobs.load.times import localised, moved_source, shift_day, shift_moment
from service.messaging.cloudevents import UNDECODABLE, signal_of, type_of
from service.messaging.envelope import InvalidEventError
from service.runtime.errors import HealthError
from service.runtime.settings import Signal

ARRAY = ".json"
"""The ending of file names that may hold an array."""

_CHUNK_BYTES = 64 * 1024 * 1024
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_TRUE = Raw(b"true")
_NULL = Raw(b"null")
_object = msgspec.json.Decoder(dict[str, Raw])
_encode = msgspec.json.Encoder().encode


class NdjsonLog:
    """A file of CloudEvents: one a line, with line numbers as row numbers and blank lines skipped.

    A file named `.json` may hold one array instead, with the elements' numbers as row numbers.
    """

    rows = None
    naive: Sequence[str] = ()

    def __init__(self, path: Path, signal: Signal | None = None, zone: ZoneInfo | None = None) -> None:
        """All events must be of `signal`, if given; times without an offset are in `zone`, if given.

        Raises `HealthError` if the file can't be read, or has another format.
        """
        self.path = path
        self._signal = signal
        self._zone = zone
        self._packed = path.name.lower().endswith(".gz")
        with self._reading() as file:
            head = file.read(HEAD_BYTES)
        if (form := form_of(head)) is not None:
            raise HealthError(f"{path} holds {form.name}, not one event per line", form.remedy)
        named = path.name.lower().removesuffix(".gz")
        start = head.removeprefix(_BYTE_ORDER_MARK).lstrip()
        self._array = named.endswith(ARRAY) and start.startswith(b"[")
        if start.partition(b"\n")[0].rstrip() == b"{":
            raise HealthError(f"{path} holds events that span several lines", f"Write one per line: jq -c . {path}")

    def drafts(self, first_row: int, source: str, shift_days: int) -> Iterator[EventDrafts]:
        """See `EventLog`. Events have sources of their own."""
        row = first_row
        for rows in self._chunks(first_row - 1):
            chunk = EventDrafts(row + len(rows), [], [])
            for line in rows:
                if line.strip():
                    self._add(chunk, row, line, shift_days)
                row += 1
            yield chunk

    def _add(self, chunk: EventDrafts, row: int, line: bytes, shift_days: int) -> None:
        try:
            chunk.drafts.append(self._draft(row, line, shift_days))
        except InvalidEventError as error:
            chunk.refused.append(RefusedRow(row, readable(str(error))))

    def _draft(self, row: int, line: bytes, shift_days: int) -> EventDraft:
        if len(line) > MOST_ROW_BYTES:
            raise InvalidEventError("event", f"more than {MOST_ROW_BYTES:,} bytes; no record may be that long")
        try:
            event = _object.decode(line)
        except UNDECODABLE as error:
            raise InvalidEventError(
                "event", f"one CloudEvent in JSON is expected {self._place}: {_why(error)}"
            ) from None
        for name in ("type", "subject"):
            if name not in event:
                raise InvalidEventError(name, "is missing")
        signal = signal_of(_plain(event, "type"))
        if self._signal not in (None, signal):
            raise InvalidEventError(
                "type", f"{type_of(signal)} is not for this topic; without --topic it finds its own"
            )
        if shift_days or self._zone is not None:
            _move(event, signal, shift_days, self._zone)
        event["backfill"] = _TRUE
        return EventDraft(row, signal, _plain(event, "subject"), _encode(event))

    @property
    def _place(self) -> str:
        return "as each element" if self._array else "on each line"

    def _chunks(self, skip: int) -> Iterator[list[bytes]]:
        with self._reading() as file:
            if file.read(len(_BYTE_ORDER_MARK)) != _BYTE_ORDER_MARK:
                file.seek(0)
            try:
                rows = elements(file) if self._array else lines(file)
                next(islice(rows, skip, skip), None)
                yield from _chunked(rows)
            except ArrayError as error:
                raise HealthError(
                    f"{self.path} is not a complete JSON array: {error}", "Check that it is complete"
                ) from None

    @contextmanager
    def _reading(self) -> Iterator[BinaryIO]:
        try:
            opened: Any = gzip.open if self._packed else open
            with opened(self.path, "rb") as file:
                yield file
        except (OSError, EOFError, zlib.error) as error:
            raise HealthError(f"{self.path} can't be read: {error}", "Check that it is complete") from None


def _chunked(rows: Iterator[bytes]) -> Iterator[list[bytes]]:
    chunk: list[bytes] = []
    size = 0
    for row in rows:
        chunk.append(row)
        size += len(row)
        if len(chunk) == CHUNK_ROWS or size > _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _plain(event: dict[str, Raw], name: str) -> Any:
    try:
        return msgspec.json.decode(event[name])
    except UNDECODABLE as error:
        raise InvalidEventError(name, f"is not JSON: {_why(error)}") from None


def _why(error: Exception) -> str:
    if isinstance(error, UnicodeDecodeError):
        return f"byte 0x{error.object[error.start]:02x} isn't UTF-8; write the file as UTF-8"
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)


_Move = Callable[[str, int, ZoneInfo | None], str]


def _move_moment(text: str, days: int, zone: ZoneInfo | None) -> str:
    return shift_moment(localised(text, zone), days)


def _move_day(text: str, days: int, _: ZoneInfo | None) -> str:
    return shift_day(text, days)


_MOVES: dict[FieldKind, _Move] = {"moment": _move_moment, "day": _move_day}


@cache
def _moves(signal: Signal) -> dict[str, _Move]:
    """The way to shift each field of `data` that holds a moment or a day."""
    fields = fields_of(signal).items()
    return {name: _MOVES[field.kind] for name, field in fields if field.in_data and field.kind in _MOVES}


def _move(event: dict[str, Raw], signal: Signal, days: int, zone: ZoneInfo | None) -> None:
    """Shift the event's time, and every moment and day in its data; mark its source."""
    _replace(event, "source", lambda text, days, _: moved_source(text, days), days, zone)
    _replace(event, "time", _move_moment, days, zone)
    if not (moves := _moves(signal)):
        return
    try:
        data = _object.decode(event["data"])
    except (KeyError, *UNDECODABLE):
        return  # the check will report it
    for name in data.keys() & moves.keys():
        _replace(data, name, moves[name], days, zone)
    event["data"] = Raw(_encode(data))


def _replace(values: dict[str, Raw], name: str, move: _Move, days: int, zone: ZoneInfo | None) -> None:
    """Shift a text; another type stays for the check to report."""
    try:
        text = msgspec.json.decode(values.get(name, _NULL))
    except UNDECODABLE:
        return
    if isinstance(text, str):
        values[name] = Raw(_encode(move(text, days, zone)))
