"""Reads a partition's bytes batch by batch, up to an unreadable one, and accepts header names that aren't UTF-8.

aiokafka reads a fetch completely or not at all, and raises the errors of its parts: those of codecs, Unicode and gzip.
Kafka accepts header names that aren't UTF-8, and doesn't recheck batches that its disk has damaged.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException, KafkaError, UnsupportedCodecError
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint_py

from service.storage.ingest.progress import Partition

LONGEST_REASON = 200
_LENGTH = slice(8, 12)
_OVERHEAD = 12
_MAGIC, _MAGIC_WITH_HEADERS = 16, 2


class Fetched(NamedTuple):
    """A broker's reply for one partition."""

    raw: bytes
    aborted: Sequence[tuple[int, int]]
    """Producers, and the first offset of each aborted transaction."""
    end: int
    """The offset after the last record of the log."""


class Reading(NamedTuple):
    """The readable part of a reply."""

    records: list[ConsumerRecord]
    next_offset: int
    """The offset at which to continue."""
    broken: str
    """The reason why the next records can't be read; empty if they can."""
    mended: bool
    """True if there are names that aiokafka can't read."""


def is_unreadable(error: Exception) -> bool:
    """True for errors that the content of the log may have caused, whether Kafka's own or not."""
    return isinstance(error, CorruptRecordException | UnsupportedCodecError) or not isinstance(error, KafkaError)


def read(partition: Partition, fetched: Fetched, offset: int) -> Reading:
    """Read the committed records from an offset on, as far as possible. Raises nothing, whatever the bytes are."""
    batches = _Batches(fetched.raw)
    reading = PartitionRecords(
        TopicPartition(*partition), batches, fetched.aborted, offset, None, None, True, READ_COMMITTED
    )
    records: list[ConsumerRecord] = []
    broken = ""
    try:
        records.extend(reading)
    except Exception as error:  # noqa: BLE001 - any part may fail at damaged bytes: see above
        broken = _describe(error, batches.current, reading.next_fetch_offset, fetched.end)
    # Don't go back for a batch whose stated last offset is wrong.
    next_offset = max(reading.next_fetch_offset, records[-1].offset + 1 if records else offset)
    return Reading(records, next_offset, broken, batches.mended)


def _describe(error: Exception, batch: Any, offset: int, end: int) -> str:
    """Describe the unreadable offsets, the reason, and where an operator may continue."""
    text = str(error.args[0] if isinstance(error, KafkaError) and error.args else error)
    reason = f"{type(error).__name__}: {text.partition(' - TopicPartition')[0]}".removesuffix(": ")[:LONGEST_REASON]
    # Damaged bytes may state wrong offsets as well.
    if batch is not None and batch.base_offset <= offset < batch.next_offset <= end:
        last = batch.next_offset - 1
        return f"offsets {offset} to {last} can't be read ({reason}); what follows begins at offset {last + 1}"
    return f"the log can't be read from offset {offset} on ({reason})"


class _Batches:
    """The batches in a byte string, for aiokafka's reader."""

    def __init__(self, raw: bytes) -> None:
        self._raw = memoryview(raw)
        self.current: Any = None
        self.mended = False

    def has_next(self) -> bool:
        return len(self._raw) >= _OVERHEAD and self._size() <= len(self._raw)

    def next_batch(self) -> Any:
        size = self._size()
        if size <= _MAGIC:
            raise CorruptRecordException(f"a batch of {size} bytes")
        raw, self._raw = bytes(self._raw[:size]), self._raw[size:]
        self.current = None
        batch = MemoryRecords(raw).next_batch()
        self.current = batch if raw[_MAGIC] < _MAGIC_WITH_HEADERS else _Batch(batch, raw, self)
        return self.current

    def _size(self) -> int:
        return _OVERHEAD + int.from_bytes(self._raw[_LENGTH], signed=True)


class _Batch:
    """One batch; either all its records can be read or none."""

    def __init__(self, batch: Any, raw: bytes, among: _Batches) -> None:
        self._batch = batch
        self._raw = raw
        self._among = among

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __next__(self) -> Any:
        return next(self._batch)

    def __iter__(self) -> Iterator[Any]:
        try:
            return iter(list(self._batch))
        except UnicodeDecodeError:
            batch = _LenientBatch(self._raw)
            batch._maybe_uncompress()
            batch._buffer = _Lenient(batch._buffer)
            records = list(batch)
            self._among.mended = True
            return iter(records)


class _LenientBatch(_DefaultRecordBatchPy):  # type: ignore[misc] # aiokafka has no type information
    """aiokafka's reader in Python, with integers read in Python too: those in C are read past the end of the bytes."""

    def _read_msg(self, decode_varint: Any = decode_varint_py) -> Any:
        return super()._read_msg(decode_varint)


class _Lenient(bytearray):
    """Bytes whose parts decode to escapes where they aren't UTF-8."""

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return _Lenient(found) if isinstance(index, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return super().decode(encoding, "backslashreplace")
