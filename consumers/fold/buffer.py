"""Records that were polled and decoded, and wait to be folded."""

import asyncio
import time
from array import array
from collections.abc import Callable, Iterator, Sequence

from aiokafka import ConsumerRecord
from msgspec import Struct, field

from consumers.fold.decode import DecodeResult, RefusedRecord
from consumers.fold.fingerprint import fingerprint
from consumers.fold.timestamps import NO_TIME
from scoring.state.events import Event
from service.observability import metrics
from service.storage.ingest.progress import Partition


class PartitionBuffer(Struct):
    """A stretch of one partition, record by record in order.

    Whole records aren't kept, for there are many. What a batch looks at of each lies side by side: to look it up in
    the objects themselves, which are all over the memory by then, takes several times as long.
    """

    offsets: "array[int]" = field(default_factory=lambda: array("q"))
    taken_ms: "array[int]" = field(default_factory=lambda: array("q"))
    """When the broker took each, in milliseconds; `NO_TIME` where the timestamp is refused or of a tombstone."""
    events: list[Event | None] = field(default_factory=list)
    """None where the record is refused or a tombstone, and zeros below."""
    identities: "array[int]" = field(default_factory=lambda: array("Q"))
    happened: "array[int]" = field(default_factory=lambda: array("q"))
    """When the events did, in microseconds."""
    backfill: "array[int]" = field(default_factory=lambda: array("b"))
    """1 where the event is loaded history."""
    refused: dict[int, RefusedRecord] = field(default_factory=dict)
    """By offset."""
    tombstones: set[int] = field(default_factory=set)
    """Their offsets."""
    fingerprint: int | None = None
    """Of the last; None if it isn't known any more."""
    traces: dict[int, str] = field(default_factory=dict)
    """By offset the contexts of those that are traced."""

    def add(self, records: Sequence[ConsumerRecord], results: Sequence[DecodeResult]) -> None:
        """Put records, and what they were decoded to, behind the others."""
        events = [result.event for result in results]
        taken_ms = [record.timestamp for record in records]
        # Events are true, as they have no length.
        for place, each in () if all(events) else enumerate(results):
            if each.event is not None:
                continue
            if isinstance(each, RefusedRecord):
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
        """The records of these places alone; it isn't to be added to, as what is kept by offset stays shared."""
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
    """Two smaller ones, the earlier records of a partition first. There must be two records at least."""
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
    """How many records these are."""
    return sum(len(buffer.offsets) for buffer in buffers.values())


class RecordBuffer:
    """What waits to be folded: filled by polls while the last batch is written, taken whole by the next.

    So batches are as small as the time of one allows, and grow with what there is behind.
    """

    def __init__(self, most: int) -> None:
        """Once `most` records wait, `room` does."""
        self.most = most
        self._buffers: PartitionBuffers = {}
        self._count = 0
        self._since = 0.0
        self._changed = asyncio.Event()

    def add(self, partition: Partition, records: Sequence[ConsumerRecord], results: Sequence[DecodeResult]) -> None:
        """Put records, and what they were decoded to, behind those of the partition that wait."""
        if not self._count:
            self._since = time.perf_counter()
        self._buffers.setdefault(partition, PartitionBuffer()).add(records, results)
        self._count += len(records)
        self._changed.set()

    def trace(self, partition: Partition, contexts: dict[int, str]) -> None:
        """Keep the contexts of some that were put there."""
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
        """All that waits, as soon as there is something; nothing after `seconds`."""
        await self._until(lambda: self._count > 0, seconds)
        buffers = self._buffers
        if buffers:
            metrics.BATCH_PHASE_SECONDS.labels("wait").observe(time.perf_counter() - self._since)
        self.clear()
        return buffers

    async def room(self, seconds: float) -> bool:
        """Wait for room, no longer than `seconds`; says whether there is."""
        await self._until(lambda: self._count < self.most, seconds)
        return self._count < self.most

    @property
    def left(self) -> int:
        """For how many more records there is room."""
        return max(self.most - self._count, 0)

    async def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return
