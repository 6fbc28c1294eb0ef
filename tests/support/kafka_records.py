"""Records as aiokafka returns them, made by hand."""

from aiokafka import ConsumerRecord


def kafka_record(
    topic: str,
    offset: int,
    value: bytes | None = b"{}",
    *,
    key: bytes | None = b"acme",
    timestamp: int | None = 1_000,
    timestamp_type: int = 1,
) -> ConsumerRecord:
    """A record of partition 0, stamped `timestamp`, in milliseconds; by the broker, unless the type is 0."""
    return ConsumerRecord(topic, 0, offset, timestamp, timestamp_type, key, value, None, 0, 0, ())
