"""Record timestamps: a broker's are reliable, those that a topic takes from producers may be anything.

A record stamped ahead of time would move its account to that day for good, and all later events would count as late. So
it is refused, and the refusal is stored: a later clock would decide otherwise when the log is read again.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta

from aiokafka import ConsumerRecord

from service.messaging.cloudevents import MAX_AHEAD
from service.messaging.kafka_records import LAST_MS

CREATE_TIME = 0
"""The timestamp type of records stamped by their producer; 1 means stamped by the broker."""
MAX_AHEAD_MS = MAX_AHEAD // 1000
"""The most, in milliseconds, that a record may be ahead of the consumer's clock."""
NO_TIME = -1
"""Stands for a timestamp that must not be used."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FINER = ((1_000, "microseconds"), (1_000_000, "nanoseconds"))

Decided = AbstractSet[tuple[int, int]]
"""Refused records of a partition that were ahead of time, by offset and timestamp."""


def latest(now: float) -> int:
    """The last timestamp that is accepted at `now`, in seconds since 1970."""
    return min(int(now * 1000) + MAX_AHEAD_MS, LAST_MS)


def moment(timestamp: int | None) -> datetime:
    """The time of a record; the beginning of 1970 if it has none."""
    return _EPOCH + timedelta(milliseconds=timestamp) if is_time(timestamp) and timestamp else _EPOCH


def is_time(timestamp: int | None) -> bool:
    """True for a timestamp of the years 1970 to 9999."""
    return timestamp is not None and 0 <= timestamp <= LAST_MS


def fault(record: ConsumerRecord) -> str:
    """The reason to refuse a record whose timestamp is invalid or too far ahead."""
    timestamp: int | None = record.timestamp
    if timestamp is None or timestamp < 0:
        return "timestamp: the record has none"
    if is_time(timestamp):
        return f"timestamp: {_text(timestamp)} lies more than 5 minutes ahead of the consumer's clock; {_blame(record)}"
    for finer, unit in _FINER:
        if is_time(timestamp // finer):
            return (
                f"timestamp: {timestamp} is not a time in milliseconds since 1970; {_blame(record)}"
                f" (in {unit} it would be {_text(timestamp // finer)})"
            )
    return f"timestamp: {timestamp} is not a time in milliseconds since 1970; {_blame(record)}"


def broker_ahead(records: Sequence[ConsumerRecord], latest: int) -> int | None:
    """The place of the first record that the broker, not its producer, has stamped ahead of time."""
    if max([record.timestamp or 0 for record in records], default=0) <= latest:
        return None
    for place, record in enumerate(records):
        if record.timestamp_type != CREATE_TIME and latest < (record.timestamp or 0) <= LAST_MS:
            return place
    return None


def blame_broker(record: ConsumerRecord) -> str:
    """The reason why a partition halts before a record that its broker stamped ahead of time."""
    return (
        f"the broker stamped the record at offset {record.offset} {_text(record.timestamp)}, more than 5 minutes ahead"
        " of the consumer's clock: correct the broker's clock, then continue from this offset"
    )


def behind(record: ConsumerRecord) -> str:
    """The reason to refuse a record that its producer stamped well before the event's time."""
    return f"timestamp: {_text(record.timestamp)} lies more than 5 minutes before the event's time; {_blame(record)}"


def was_refused(record: ConsumerRecord, decided: Decided) -> bool:
    """True if this very record was refused before for being ahead of the clock at that time."""
    return (record.offset, record.timestamp) in decided


def _blame(record: ConsumerRecord) -> str:
    if record.timestamp_type == CREATE_TIME:
        return "its producer set it, as the topic has message.timestamp.type=CreateTime"
    return "its broker set it, so check its clock and the consumer's"


def _text(timestamp: int) -> str:
    return moment(timestamp).isoformat(timespec="seconds").replace("+00:00", "Z")
