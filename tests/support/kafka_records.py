"""Records as aiokafka hands them out, made by hand."""

from aiokafka import ConsumerRecord


def kafka_record(
    topic: str, offset: int, value: bytes | None = b"{}", *, key: bytes | None = b"acme", timestamp: int = 1_000
) -> ConsumerRecord:
    """A record of partition 0, that the broker took at `timestamp`, in milliseconds."""
    return ConsumerRecord(topic, 0, offset, timestamp, 1, key, value, None, 0, 0, ())
