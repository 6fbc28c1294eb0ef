"""Fingerprints of records, to check that the log is still the one that was folded."""

from aiokafka import ConsumerRecord
from xxhash import xxh3_64_intdigest

HALF, WHOLE = 2**63, 2**64


def fingerprint(record: ConsumerRecord) -> int:
    """A hash of a record's content and broker timestamp: a signed 64-bit integer, as Postgres stores them."""
    key, value = record.key or b"", record.value or b""
    timestamp = -1 if record.timestamp is None else record.timestamp
    digest = xxh3_64_intdigest(b"%d:%d:%d:" % (timestamp, len(key), len(value)) + key + value)
    return digest - WHOLE if digest >= HALF else digest
