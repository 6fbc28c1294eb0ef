"""Records that were polled and decoded and are waiting to be folded."""

import asyncio
import time
from array import array
from collections.abc import Callable, Iterator, Sequence

from aiokafka import ConsumerRecord
from msgspec import Struct, field
from xxhash import xxh3_64_intdigest

from consumers.fold.decode import DecodeResult, Refusal
from consumers.fold.timestamps import NO_TIME
from scoring.state.events import Event
from service.observability import metrics
from service.storage.ingest.progress import Partition


def fingerprint(record: ConsumerRecord) -> int:
    """A hash of a record's content and broker timestamp, to check that the log is still the one that was folded.

    A signed 64-bit integer, as Postgres stores them.
    """
    key, value = record.key or b"", record.value or b""
    timestamp = -1 if record.timestamp is None else record.timestamp
    digest = xxh3_64_intdigest(b"%d:%d:%d:" % (timestamp, len(key), len(value)) + key + value)
    return digest - 2**64 if digest >= 2**63 else digest


class PartitionBuffer(Struct):
    """Consecutive records of one partition, column by column.

    Records aren't kept whole, because there are many. A batch reads these columns several times faster than it could
    read the records, which lie scattered in memory.
    """

    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    taken_ms: "array[int]" = field(default_factory=lambda: array("q"))
    """Broker timestamps in milliseconds; `NO_TIME` for tombstones and refused timestamps."""
    events: list[Event | None] = field(default_factory=list)
    """None where the record was refused or is a tombstone; the columns below hold zeros there."""
    identities: "array[int]" = field(default_factory=lambda: array("Q"))
    happened: "array[int]" = field(default_factory=lambda: array("q"))
    """Event times in microseconds."""
    backfill: "array[int]" = field(default_factory=lambda: array("b"))
    """1 where the event is loaded history."""
    refused: dict[int, Refusal] = field(default_factory=dict)
    """Refused records by offset."""
    tombstones: set[int] = field(default_factory=set)
    """Offsets of tombstones."""
    fingerprint: int | None = None
    """Fingerprint of the last record; None if it is no longer known."""
    traces: dict[int, str] = field(default_factory=dict)
    """Trace contexts by offset."""

    def add(self, records: Sequence[ConsumerRecord], results: Sequence[DecodeResult]) -> None:
        """Append records and their decoded results."""
        events = [result.event for result in results]
        taken_ms = [record.timestamp for record in records]
        # Events are true, as they have no length.
        for place, each in () if all(events) else enumerate(results):
            if each.event is not None:
                continue
            if isinstance(each, Refusal):
                self.refused[each.record.offset] = each
            else:
                self.tombstones.add(records[place].offset)
            if not each.stamped:
                taken_ms[place] = NO_TIME
        self.offsets.extend([record.offset for record in records])
        self.taken_ms.extend(taken_ms)
        self.events += events
        self.identities.extend([result.identity for result in results])
        self.happened.extend([0 if event is None else event.at for event in events])
        self.backfill.extend([result.backfill for result in results])
        self.fingerprint = fingerprint(records[-1])

    def cut(self, start: int, stop: int) -> "PartitionBuffer":
        """The records from one place to before another. Don't add to it: mappings by offset are shared."""
        return PartitionBuffer(
            self.offsets[start:stop],
            self.taken_ms[start:stop],
            self.events[start:stop],
            self.identities[start:stop],
            self.happened[start:stop],
            self.backfill[start:stop],
            self.refused,
            self.tombstones,
            self.fingerprint if stop == len(self.offsets) else None,
            self.traces,
        )


PartitionBuffers = dict[Partition, PartitionBuffer]


def bisect(buffers: PartitionBuffers) -> Iterator[PartitionBuffers]:
    """Split into two smaller parts, earlier records of a partition first. There must be at least two records."""
    partitions = sorted(buffers)
    if len(partitions) > 1:
        middle = len(partitions) // 2
        yield {partition: buffers[partition] for partition in partitions[:middle]}
        yield {partition: buffers[partition] for partition in partitions[middle:]}
        return
    [(partition, buffer)] = buffers.items()
    end = len(buffer.offsets)
    yield {partition: buffer.cut(0, end // 2)}
    yield {partition: buffer.cut(end // 2, end)}


def record_count(buffers: PartitionBuffers) -> int:
    """The number of records in all buffers."""
    return sum(len(buffer.offsets) for buffer in buffers.values())


class RecordBuffer:
    """The records waiting to be folded: polls fill it while a batch is written, and the next batch empties it.

    So batches are as small as the duration of one allows, and grow with the backlog.
    """

    def __init__(self, most: int) -> None:
        """`room()` blocks once `most` records are buffered."""
        self.most = most
        self._buffers: PartitionBuffers = {}
        self._count = 0
        self._since = 0.0
        self._changed = asyncio.Event()

    def add(self, partition: Partition, records: Sequence[ConsumerRecord], results: Sequence[DecodeResult]) -> None:
        """Append records of a partition and their decoded results."""
        if not self._count:
            self._since = time.perf_counter()
        self._buffers.setdefault(partition, PartitionBuffer()).add(records, results)
        self._count += len(records)
        self._changed.set()

    def trace(self, partition: Partition, contexts: dict[int, str]) -> None:
        """Store the trace contexts of buffered records."""
        self._buffers[partition].traces |= contexts

    def drop(self, partition: Partition) -> None:
        """Forget a partition's records."""
        if partition in self._buffers:
            self._count -= len(self._buffers.pop(partition).offsets)
            self._changed.set()

    def clear(self) -> None:
        """Forget all."""
        self._buffers = {}
        self._count = 0
        self._changed.set()

    async def take(self, seconds: float) -> PartitionBuffers:
        """Take all records as soon as there are any; nothing after `seconds`."""
        await self._until(lambda: self._count > 0, seconds)
        buffers = self._buffers
        if buffers:
            metrics.BATCH_PHASE_SECONDS.labels("wait").observe(time.perf_counter() - self._since)
        self.clear()
        return buffers

    async def room(self, seconds: float) -> bool:
        """Wait up to `seconds` for room; returns True if there is some."""
        await self._until(lambda: self._count < self.most, seconds)
        return self._count < self.most

    def __len__(self) -> int:
        """The number of records that wait."""
        return self._count

    @property
    def left(self) -> int:
        """The number of records that still fit."""
        return max(self.most - self._count, 0)

    async def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return
