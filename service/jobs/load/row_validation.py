"""Rows of a log before they become events, and the check that they must pass."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from scoring.state.events import Event
from service.jobs.load.terminal import readable
from service.messaging.cloudevents import decode_structured
from service.messaging.envelope import InvalidEventError
from service.runtime.settings import Signal

CHUNK_ROWS = 20_000
"""The number of rows that are read, checked and sent together."""

_NAIVE = "timezone component"
"""msgspec's message for a time without an offset."""


class EventDraft(Struct, frozen=True, gc=False):
    """A row as a structured-mode CloudEvent, unchecked; rows count from 1."""

    row: int
    signal: Signal
    account_id: str
    value: bytes


class RefusedRow(Struct, frozen=True):
    """A row that can't be an event; the reason begins with the field at fault."""

    row: int
    reason: str


class EventDrafts(Struct):
    """The next rows of a log, all of those before `next_row`: as drafts, or refused if not even that is possible."""

    next_row: int
    drafts: list[EventDraft]
    refused: list[RefusedRow]
    columns: dict[str, str] = {}
    """The table's column of each field, by its path in the event."""


class EventLog(Protocol):
    """A file of events."""

    path: Path

    @property
    def rows(self) -> int | None:
        """The number of rows, if the file gives it before it is read."""

    @property
    def naive(self) -> Sequence[str]:
        """Columns with times without a time zone, which count as UTC."""

    def drafts(self, first_row: int, source: str, shift_days: int) -> Iterator[EventDrafts]:
        """The rows from `first_row` on, in order, marked as backfill.

        All times are moved by `shift_days`, which is noted in the sources. `source` is for events that have none of
        their own. Raises `HealthError` if the file can't be read.
        """


class RowsVerdict(Struct):
    """The result of a check: the drafts that passed, their events, and the refused rows."""

    passed: list[EventDraft]
    events: list[Event]
    refused: list[RefusedRow]


def check(drafts: EventDrafts, max_bytes: int, taken_at: int) -> RowsVerdict:
    """Decode every draft as a consumer will if Kafka takes it at `taken_at`: one that passes won't be a dead letter."""
    verdict = RowsVerdict([], [], list(drafts.refused))
    for draft in drafts.drafts:
        if len(draft.value) > max_bytes:
            reason = f"event: {len(draft.value):,} bytes; at most {max_bytes:,} are taken"
            verdict.refused.append(RefusedRow(draft.row, reason))
            continue
        try:
            event = decode_structured(draft.signal, draft.value, taken_at).event
        except InvalidEventError as error:
            verdict.refused.append(RefusedRow(draft.row, _reason(error, drafts)))
        else:
            verdict.passed.append(draft)
            verdict.events.append(event)
    verdict.refused.sort(key=lambda refused: refused.row)
    return verdict


def _reason(error: InvalidEventError, drafts: EventDrafts) -> str:
    column = drafts.columns.get(error.field)
    hint = "; for local times add --timezone ZONE" if _NAIVE in error.message else ""
    return readable(f"{error}{hint}") + (f" (column {column})" if column is not None else "")
