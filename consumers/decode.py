"""From a record to an event, or to a dead letter that says why not."""

import base64
from typing import ClassVar

import msgspec
from aiokafka import ConsumerRecord

from consumers import stamps
from service import printable
from service.cloudevents import AheadError, Decoded, InvalidEventError, decode_binary, decode_structured
from service.settings import Signal
from service.storage.dead_letters import DeadLetterRow

STRUCTURED = "application/cloudevents+json"


class Refused(msgspec.Struct, frozen=True):
    """A record that can't be used, and why. It has no event, where `Decoded` has one."""

    record: ConsumerRecord
    reason: str
    stamped: bool = True
    """Whether its timestamp is one to go by."""
    event: ClassVar[None] = None
    identity: ClassVar[int] = 0
    backfill: ClassVar[bool] = False


def decode(signal: Signal, record: ConsumerRecord, max_bytes: int, latest: int = stamps.LAST_MS) -> Decoded | Refused:
    """Decode a record of a signal's topic; whatever is wrong with it becomes the reason of a refusal.

    `latest` is the last timestamp that is taken, in milliseconds.
    """
    value = record.value
    if record.timestamp is None or not 0 <= record.timestamp <= latest:
        return Refused(record, stamps.fault(record), stamped=False)
    if value is None:
        return Refused(record, "value: the record has none")
    if len(value) > max_bytes:
        return Refused(record, f"value: {len(value):,} bytes; at most {max_bytes:,} are taken")
    try:
        if record.headers and (headers := _binary_headers(record)):
            return decode_binary(signal, headers, value, record.timestamp * 1000)
        return decode_structured(signal, value, record.timestamp * 1000)
    except AheadError as error:
        return Refused(record, stamps.behind(record) if record.timestamp_type == stamps.CREATE_TIME else str(error))
    except InvalidEventError as error:
        return Refused(record, str(error))


def as_decided(record: ConsumerRecord, result: Decoded | Refused, decided: stamps.Decided) -> Decoded | Refused:
    """What was decided when the log was read before, where that hung on the clock; else `result`."""
    if isinstance(result, Refused) or not stamps.was_refused(record, decided):
        return result
    return Refused(record, stamps.fault(record), stamped=False)


def _binary_headers(record: ConsumerRecord) -> dict[str, str] | None:
    """The headers of a binary-mode event; None if the record is in structured mode."""
    headers = {name.lower(): value for name, value in record.headers}
    if "ce_specversion" not in headers or headers.get("content-type", b"").startswith(STRUCTURED.encode()):
        return None
    try:
        return {
            name: value.decode() for name, value in headers.items() if name.startswith("ce_") or name == "content-type"
        }
    except UnicodeDecodeError:
        raise InvalidEventError("headers", "the ce_ headers must be UTF-8") from None


def dead_letter(refused: Refused) -> DeadLetterRow:
    """The row that keeps a refused record."""
    record = refused.record
    headers = [[name, base64.b64encode(value or b"").decode()] for name, value in record.headers]
    return DeadLetterRow(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        account_id=_readable(record.key),
        reason=refused.reason.replace("\x00", "\\x00"),
        key=record.key,
        value=record.value,
        headers=msgspec.json.encode(headers).decode().replace("\\u0000", "\\\\u0000"),
        recorded_at=stamps.moment(record.timestamp),
    )


def _readable(key: bytes | None) -> str | None:
    if key is None or len(key) > 256:
        return None
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return None
    return text if printable.fault(text) is None else None
