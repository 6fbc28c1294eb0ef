"""A partition's bytes, batch by batch: up to one that can't be read, and with names that aren't UTF-8.

aiokafka reads all of a fetch or nothing, and raises what its parts do: a codec's own errors, those of Unicode and of
gzip. Kafka takes headers' names that are no UTF-8, and checks no batch again that its disk has damaged.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException, KafkaError, UnsupportedCodecError
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords

from service.storage.ingest.progress import Partition

LONGEST_REASON = 200
_LENGTH = slice(8, 12)
_OVERHEAD = 12
_MAGIC, _MAGIC_WITH_HEADERS = 16, 2


class Fetched(NamedTuple):
    """The answer of a broker for one partition."""

    raw: bytes
    aborted: Sequence[tuple[int, int]]
    """Producers, and where each began what it took back."""
    end: int
    """The offset behind the last record of the log."""


class Reading(NamedTuple):
    """The part of it that could be read."""

    records: list[ConsumerRecord]
    next_offset: int
    """From where there is more to read."""
    broken: str
    """Why that can't be read; empty if it can."""
    mended: bool
    """True if there are names that aiokafka can't read."""


def is_unreadable(error: Exception) -> bool:
    """True for errors that the content of the log may have caused, of Kafka's own kind or not."""
    return isinstance(error, CorruptRecordException | UnsupportedCodecError) or not isinstance(error, KafkaError)


def read(partition: Partition, fetched: Fetched, offset: int) -> Reading:
    """The committed records from an offset on, as far as they can be read. Never raises for what the bytes are."""
    batches = _Batches(fetched.raw)
    reading = PartitionRecords(
        TopicPartition(*partition), batches, fetched.aborted, offset, None, None, True, READ_COMMITTED
    )
    records: list[ConsumerRecord] = []
    broken = ""
    try:
        records.extend(reading)
    except Exception as error:  # noqa: BLE001 - of whichever part stumbled at the bytes: see above
        broken = _told(error, batches.current, reading.next_fetch_offset, fetched.end)
    # A batch that lies about its last offset isn't gone back for.
    next_offset = max(reading.next_fetch_offset, records[-1].offset + 1 if records else offset)
    return Reading(records, next_offset, broken, batches.mended)


def _told(error: Exception, batch: Any, offset: int, end: int) -> str:
    """The offsets that can't be read, the reason, and where an operator may go on."""
    text = str(error.args[0] if isinstance(error, KafkaError) and error.args else error)
    reason = f"{type(error).__name__}: {text.partition(' - TopicPartition')[0]}".removesuffix(": ")[:LONGEST_REASON]
    # What damaged bytes say of themselves may be wrong as well.
    if batch is not None and batch.base_offset <= offset < batch.next_offset <= end:
        last = batch.next_offset - 1
        return f"offsets {offset} to {last} can't be read ({reason}); what follows begins at offset {last + 1}"
    return f"the log can't be read from offset {offset} on ({reason})"


class _Batches:
    """The batches of some bytes, for aiokafka's reader."""

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
    """One batch, all of whose records can be read or none."""

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
            batch = _DefaultRecordBatchPy(self._raw)
            batch._maybe_uncompress()
            batch._buffer = _Lenient(batch._buffer)
            records = list(batch)
            self._among.mended = True
            return iter(records)


class _Lenient(bytearray):
    """Bytes of which a part that isn't UTF-8 decodes too, to escapes."""

    def __getitem__(self, index: Any) -> Any:
        found = super().__getitem__(index)
        return _Lenient(found) if isinstance(index, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return super().decode(encoding, "backslashreplace")
