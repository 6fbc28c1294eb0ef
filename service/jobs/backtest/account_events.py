"""Accounts' events between the log and the replay: encoded in Arrow tables, each event once when it is decoded.

Engines move these tables as they are; only the replay of an account decodes its events.
"""

from collections.abc import Iterator
from typing import Any

import msgspec
import pyarrow as pa
from msgspec.structs import replace

from scoring.state.calendar import MICROSECONDS_PER_DAY
from scoring.state.events import AttributesEvent, Event, SurveyEvent, TicketEvent, UsageEvent

ACCOUNT, POSITION = "account", "position"

SCHEMA = pa.schema(
    [
        pa.field(ACCOUNT, pa.string()),
        pa.field(POSITION, pa.int64()),  # in the whole log: of two copies of an event the first one counts
        pa.field("kind", pa.int8()),
        pa.field("event", pa.binary()),
    ]
)

_KINDS: tuple[type[Any], ...] = (UsageEvent, TicketEvent, SurveyEvent, AttributesEvent)
_KIND_OF = {kind: number for number, kind in enumerate(_KINDS)}
ATTRIBUTES_ONLY = [("kind", "=", _KIND_OF[AttributesEvent])]
"""The filter of Parquet files for account events."""
_decoders = [msgspec.msgpack.Decoder(kind).decode for kind in _KINDS]
_encode = msgspec.msgpack.Encoder().encode


def encode_event(event: Event) -> tuple[int, bytes]:
    """The columns `kind` and `event`, as if the broker had received the event at once, on its own day."""
    day = event.at // MICROSECONDS_PER_DAY
    received = event if event.broker_day == day else replace(event, broker_day=day)
    return _KIND_OF[type(event)], _encode(received)


def decode_events(table: pa.Table) -> list[Event]:
    """The events of a table in the order of the log, each once: `source` and `id` identify an event."""
    table = table.sort_by(POSITION)
    decoded = (
        _decoders[kind](encoded)
        for kind, encoded in zip(table["kind"].to_pylist(), table["event"].to_pylist(), strict=True)
    )
    first: dict[tuple[str, str], Event] = {}
    for event in decoded:
        first.setdefault((event.source, event.id), event)
    return list(first.values())


def by_account(table: pa.Table) -> Iterator[pa.Table]:
    """The part of each account in a table, in order of the accounts."""
    table = table.sort_by([(ACCOUNT, "ascending"), (POSITION, "ascending")])
    start = 0
    for length in table[ACCOUNT].value_counts().field("counts").to_pylist():
        yield table.slice(start, length)
        start += length
