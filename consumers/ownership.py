"""Which partitions are ours: claimed in Postgres when the group assigns them, given up when it takes them away."""

import asyncio
import os
import socket
from collections.abc import Iterable

import numpy as np
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from consumers.batch import Owned
from consumers.seen import Run, Seen
from service import metrics
from service.settings import Settings, Signal
from service.storage import progress, seen_events
from service.storage.progress import Claim, Partition
from service.storage.transient import persistently

log = structlog.get_logger(__name__)


class Ownership(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka ships no types
    """Claims, and the lock that a batch holds while it is written, so that a rebalance waits for it.

    aiokafka logs what a listener raises and goes on, so a failure is kept for the runner to raise.
    """

    def __init__(self, consumer: AIOKafkaConsumer, engine: AsyncEngine, settings: Settings) -> None:
        self.owned: dict[Partition, Owned] = {}
        self.halted: dict[Partition, str] = {}
        self.writing = asyncio.Lock()
        self.failure: Exception | None = None
        self._consumer = consumer
        self._engine = engine
        self._signals: dict[str, Signal] = {topic: signal for signal, topic in settings.topics.items()}
        self._name = f"{socket.gethostname()}:{os.getpid()}"

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Wait for the batch under way, then let go."""
        async with self.writing:
            self.owned.clear()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Claim what was assigned and seek to where Postgres says that folding stopped."""
        partitions = sorted((partition.topic, partition.partition) for partition in assigned)
        async with self.writing:
            self.owned.clear()
            self._set_halted({})
            if not partitions:
                return
            try:
                await self._take(partitions)
            except Exception as error:  # noqa: BLE001 - kept for the runner; here it would only be logged
                self.failure = error

    async def _take(self, partitions: list[Partition]) -> None:
        kafka_partitions = [TopicPartition(*partition) for partition in partitions]
        starts = await self._consumer.beginning_offsets(kafka_partitions)
        ends = await self._consumer.end_offsets(kafka_partitions)

        async def claim() -> tuple[dict[Partition, Claim], dict[Partition, Seen]]:
            async with self._engine.begin() as connection:
                log_starts = {(partition.topic, partition.partition): start for partition, start in starts.items()}
                claims = await progress.claim(connection, log_starts, self._name)
                return claims, await _load_seen(connection, partitions)

        claims, seen = await persistently(claim, "claiming partitions")
        halted: dict[Partition, str] = {}
        for partition, claimed in claims.items():
            kafka_partition = TopicPartition(*partition)
            start, end = starts[kafka_partition], ends[kafka_partition]
            if start <= claimed.next_offset <= end:
                self._consumer.seek(kafka_partition, claimed.next_offset)
                self.owned[partition] = Owned(self._signals[partition[0]], claimed, seen[partition])
            else:
                self._consumer.pause(kafka_partition)
                self._consumer.seek(kafka_partition, start)  # without a position aiokafka would raise at every poll
                halted[partition] = f"next offset {claimed.next_offset} is outside of the log, {start} to {end}"
        self._set_halted(halted)
        log.info("partitions_claimed", partitions=len(self.owned), halted=len(halted))

    def give_up(self, partitions: Iterable[Partition]) -> None:
        """Forget partitions that another process has claimed."""
        for partition in partitions:
            self.owned.pop(partition, None)
            log.warning("partition_lost", topic=partition[0], partition=partition[1])

    def halt(self, partition: Partition, why: str) -> None:
        """Stop folding a partition until an operator decides."""
        self._consumer.pause(TopicPartition(*partition))
        self.owned.pop(partition, None)
        self._set_halted({**self.halted, partition: why})

    def _set_halted(self, halted: dict[Partition, str]) -> None:
        self.halted = halted
        metrics.HALTED_PARTITIONS.set(len(halted))
        for (topic, partition), why in halted.items():
            log.error(
                "partition_halted",
                topic=topic,
                partition=partition,
                why=why,
                remedy=f"account-health progress set {topic} {partition} earliest|latest|OFFSET, then restart",
            )


async def _load_seen(connection: AsyncConnection, partitions: list[Partition]) -> dict[Partition, Seen]:
    runs: dict[Partition, list[Run]] = {partition: [] for partition in partitions}
    for row in await seen_events.load(connection, partitions):
        hashes = np.frombuffer(row.hashes, dtype=np.uint64)
        runs[row.topic, row.partition].append(Run(row.last_offset, row.newest_at, hashes))
    return {partition: Seen(found) for partition, found in runs.items()}
