"""Records that were polled and decoded, and wait to be folded."""

import asyncio
import time
from array import array
from collections.abc import Callable, Iterator

from aiokafka import ConsumerRecord
from msgspec import Struct, field

from consumers.decode import Refused
from consumers.fingerprints import fingerprint
from service import metrics
from service.cloudevents import Decoded
from service.storage.progress import Partition


class Stretch(Struct):
    """A stretch of one partition, record by record in order: the offset, and what the record was decoded to.

    Whole records aren't kept, for there are many; what else a batch needs of them is.
    """

    offsets: list[int] = field(default_factory=list)
    results: list[Decoded | Refused] = field(default_factory=list)
    taken_ms: "array[int]" = field(default_factory=lambda: array("q"))
    """When the broker took each, in milliseconds."""
    fingerprint: int | None = None
    """Of the last; None if it isn't known any more."""


Taken = dict[Partition, Stretch]


def halves(taken: Taken) -> Iterator[Taken]:
    """Two smaller ones, the earlier records of a partition first. There must be two records at least."""
    partitions = sorted(taken)
    if len(partitions) > 1:
        middle = len(partitions) // 2
        yield {partition: taken[partition] for partition in partitions[:middle]}
        yield {partition: taken[partition] for partition in partitions[middle:]}
        return
    [(partition, stretch)] = taken.items()
    middle = len(stretch.offsets) // 2
    yield {partition: Stretch(stretch.offsets[:middle], stretch.results[:middle], stretch.taken_ms[:middle])}
    yield {
        partition: Stretch(
            stretch.offsets[middle:], stretch.results[middle:], stretch.taken_ms[middle:], stretch.fingerprint
        )
    }


class Waiting:
    """What waits to be folded: filled by polls while the last batch is written, taken whole by the next.

    So batches are as small as the time of one allows, and grow with what there is behind.
    """

    def __init__(self, most: int) -> None:
        """Once `most` records wait, `room` does."""
        self._most = most
        self._taken: Taken = {}
        self._count = 0
        self._since = 0.0
        self._changed = asyncio.Event()

    def add(self, partition: Partition, records: list[ConsumerRecord], results: list[Decoded | Refused]) -> None:
        """Put records, and what they were decoded to, behind those of the partition that wait."""
        if not self._count:
            self._since = time.perf_counter()
        stretch = self._taken.setdefault(partition, Stretch())
        stretch.offsets += [record.offset for record in records]
        stretch.results += results
        stretch.taken_ms.extend([record.timestamp for record in records])
        stretch.fingerprint = fingerprint(records[-1])
        self._count += len(records)
        self._changed.set()

    def drop(self, partition: Partition) -> None:
        """Forget a partition's records."""
        if partition in self._taken:
            self._count -= len(self._taken.pop(partition).offsets)
            self._changed.set()

    def clear(self) -> None:
        """Forget all."""
        self._taken = {}
        self._count = 0
        self._changed.set()

    async def take(self, seconds: float) -> Taken:
        """All that waits, as soon as there is something; nothing after `seconds`."""
        await self._until(lambda: self._count > 0, seconds)
        taken = self._taken
        if taken:
            metrics.BATCH_PHASE_SECONDS.labels("wait").observe(time.perf_counter() - self._since)
        self.clear()
        return taken

    async def room(self, seconds: float) -> bool:
        """Wait for room, no longer than `seconds`; says whether there is."""
        await self._until(lambda: self._count < self._most, seconds)
        return self._count < self._most

    @property
    def left(self) -> int:
        """For how many more records there is room."""
        return max(self._most - self._count, 0)

    async def _until(self, condition: Callable[[], bool], seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return
