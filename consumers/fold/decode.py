"""Decodes a record into an event, or into a dead letter with the reason."""

from typing import ClassVar

import msgspec
from aiokafka import ConsumerRecord

from consumers.fold import timestamps
from service.messaging.cloudevents import AheadError, Decoded, decode_binary, decode_structured
from service.messaging.envelope import InvalidEventError
from service.messaging.kafka_records import LAST_MS, binary_headers
from service.runtime.settings import Signal
from service.runtime.text import unprintable_problem
from service.storage.ingest.dead_letters import DeadLetterRow, header_to_text

LONGEST_REASON = 1_000
"""The longest reason, in characters: it may repeat text of a sender, such as the name of a field."""


class Refusal(msgspec.Struct, frozen=True):
    """A record that can't be used, with the reason. It has no event, unlike `Decoded`."""

    record: ConsumerRecord
    reason: str
    stamped: bool = True
    """False if its timestamp must not be used."""
    event: ClassVar[None] = None
    identity: ClassVar[int] = 0
    backfill: ClassVar[bool] = False


class Tombstone(msgspec.Struct, frozen=True):
    """A record without a value, as compacted topics have them. It is skipped."""

    stamped: ClassVar[bool] = False
    event: ClassVar[None] = None
    identity: ClassVar[int] = 0
    backfill: ClassVar[bool] = False


DecodeResult = Decoded | Refusal | Tombstone
_TOMBSTONE = Tombstone()


def decode(signal: Signal, record: ConsumerRecord, max_bytes: int, latest: int = LAST_MS) -> DecodeResult:
    """Decode a record of a signal's topic. Raises nothing: any fault becomes the reason of a `Refusal`.

    `latest` is the last accepted timestamp, in milliseconds.
    """
    value, timestamp = record.value, record.timestamp
    if value is None:
        return _TOMBSTONE
    if timestamp is None or not 0 <= timestamp <= latest:
        return Refusal(record, timestamps.fault(record), stamped=False)
    if len(value) > max_bytes:
        return Refusal(record, f"value: {len(value):,} bytes; at most {max_bytes:,} are taken")
    try:
        if record.headers and (headers := binary_headers(record.headers)):
            return decode_binary(signal, headers, value, timestamp * 1000)
        return decode_structured(signal, value, timestamp * 1000)
    except AheadError as error:
        return Refusal(
            record, timestamps.behind(record) if record.timestamp_type == timestamps.CREATE_TIME else str(error)
        )
    except InvalidEventError as error:
        return Refusal(record, str(error))


def as_decided(record: ConsumerRecord, result: DecodeResult, decided: timestamps.Decided) -> DecodeResult:
    """The earlier decision if that depended on the clock, so that a replay decides the same; otherwise `result`."""
    if not isinstance(result, Decoded) or not timestamps.was_refused(record, decided):
        return result
    return Refusal(record, timestamps.fault(record), stamped=False)


def dead_letter(refused: Refusal) -> DeadLetterRow:
    """The dead-letter row of a refused record."""
    record = refused.record
    headers = [[_storable(name), header_to_text(value)] for name, value in record.headers]
    return DeadLetterRow(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        account_id=_readable(record.key),
        reason=_storable(refused.reason[:LONGEST_REASON]),
        key=record.key,
        value=record.value,
        headers=msgspec.json.encode(headers).decode(),
        recorded_at=timestamps.moment(record.timestamp),
    )


def _storable(text: str) -> str:
    """The text with an escape for each NUL, which Postgres can't store in text."""
    return text.replace("\x00", "\\u0000")


def _readable(key: bytes | None) -> str | None:
    if key is None or len(key) > 256:
        return None
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return None
    return text if unprintable_problem(text) is None else None
