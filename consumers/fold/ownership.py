"""Ownership of partitions: claimed in Postgres once the group assigns them, given up when it revokes them.

A rebalance never waits for Postgres: its callbacks only note the assignment. The runner's next step claims, however
long that takes, and the partitions stay paused until then.
"""

import asyncio
import os
import socket
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from consumers.fold import dead_letter_limit
from consumers.fold.batch import OwnedPartition
from consumers.fold.buffer import RecordBuffer, fingerprint
from consumers.fold.dedup import Deduplicator, HashRun
from consumers.fold.kafka import until_answered
from consumers.fold.placement import PlacementWatch
from service.messaging.kafka_availability import KafkaAvailability
from service.observability import metrics
from service.observability.probes import Pulse
from service.runtime.settings import Settings, Signal
from service.storage.database.retry import retry_while_transient
from service.storage.ingest import dead_letters, progress, refused_timestamps, seen_events, standstill
from service.storage.ingest.progress import OPERATOR, Partition, PartitionClaim, PartitionOwner, TopicGrowth

log = structlog.get_logger(__name__)

DRAIN_SECONDS = 20.0
"""The longest that a rebalance waits for the current batch; then the batch is given up, and the next owner folds it."""
CHECK_SECONDS = 3.0
"""Interval of checks whether an operator has set a partition, and of this consumer's sign of life."""


class _Claimed(NamedTuple):
    """The stored facts about partitions that were claimed."""

    claims: dict[Partition, PartitionClaim]
    dedup: dict[Partition, Deduplicator]
    refused: dict[Partition, list[int]]
    decided: dict[Partition, set[tuple[int, int]]]
    grown: dict[str, TopicGrowth]


class Ownership(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka ships no types
    """The claims of this process, and the lock it holds while it writes by them, so that a rebalance waits for it."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        engine: AsyncEngine,
        settings: Settings,
        buffer: RecordBuffer,
        pulse: Pulse,
        contact: KafkaAvailability,
        placement: PlacementWatch,
    ) -> None:
        """Records of partitions that cease to be ours are dropped from `buffer`. `placement` is notified of added
        partitions.
        """
        self.owned: dict[Partition, OwnedPartition] = {}
        self.halted: dict[Partition, str] = {}
        self.halted_at: dict[Partition, int] = {}
        """The next offsets of halted partitions."""
        self.folded_before: dict[Partition, int] = {}
        """The offsets up to which partitions had been folded when this process first claimed them."""
        self.writing = asyncio.Lock()
        self.give_up_writing: Callable[[], object] = lambda: None
        """Called when a rebalance has waited too long for the lock."""
        self._consumer = consumer
        self._engine = engine
        self._buffer = buffer
        self._pulse = pulse
        self._contact = contact
        self._placement = placement
        self._signals: dict[str, Signal] = {topic: signal for signal, topic in settings.topics.items()}
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._assigned: set[Partition] = set()
        self._unclaimed: set[Partition] = set()
        self._epochs: dict[Partition, int] = {}
        self._ending: dict[Partition, str] = {}
        self._noted: dict[Partition, str] = {}
        self._checked_at = 0.0

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Wait for the current write, up to `DRAIN_SECONDS`, then let go."""
        try:
            await asyncio.wait_for(self.writing.acquire(), DRAIN_SECONDS)
        except TimeoutError:
            log.warning("batch_given_up", after_seconds=DRAIN_SECONDS)
            self.give_up_writing()
            await self.writing.acquire()
        try:
            self._forget()
        finally:
            self.writing.release()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Note the assigned partitions, for `update_claims` to claim."""
        self._forget()
        for each in assigned:
            self._consumer.pause(each)
            self._consumer.seek(each, 0)  # without a position aiokafka would ask Kafka for one, and fail
            self._assigned.add((each.topic, each.partition))
        self._unclaimed = set(self._assigned)

    def _forget(self) -> None:
        for held in (
            self.owned,
            self.halted_at,
            self._ending,
            self._assigned,
            self._unclaimed,
            self._epochs,
            self._noted,
        ):
            held.clear()
        self._buffer.clear()
        self._set_halted({})

    async def update_claims(self) -> None:
        """Claim partitions that were assigned or set by an operator, and store the halts. The caller holds
        `writing`.
        """
        self._halt_ended()
        wanted = sorted(self._unclaimed or await self._set_by_operator())
        if wanted:
            await self._claim(wanted)
        if self.halted != self._noted:
            await retry_while_transient(self._note_halted, "storing halted partitions", self._pulse.beat)

    async def _set_by_operator(self) -> set[Partition]:
        """The partitions that an operator has set. Without this check, an idle one would only be noticed with its next
        record.
        """
        if not self._assigned or time.monotonic() - self._checked_at < CHECK_SECONDS:
            return set()
        self._checked_at = time.monotonic()

        async def owners() -> dict[Partition, PartitionOwner]:
            async with self._engine.begin() as connection:
                await standstill.record_heartbeat(connection, self._epochs)
                return await progress.owners(connection, self._assigned)

        found = await retry_while_transient(owners, "checking for partitions set by an operator", self._pulse.beat)
        self.give_up(
            [
                partition
                for partition, mine in self.owned.items()
                if partition in found and found[partition].epoch != mine.claim.epoch
            ]
        )
        idle = found.keys() - self.owned.keys()
        return {partition for partition in idle if found[partition].name == OPERATOR}

    async def _claim(self, partitions: Sequence[Partition]) -> None:
        bounds = await self._log_bounds(partitions)
        counts = {topic: len(self._consumer.partitions_for_topic(topic) or ()) for topic, _ in partitions}

        async def claim() -> _Claimed:
            async with self._engine.begin() as connection:
                starts = {partition: start for partition, (start, _) in bounds.items()}
                claims = await progress.claim(connection, starts, self._name)
                grown = await progress.count_partitions(connection, partitions, counts)
                dedup = await _load_seen(connection, partitions)
                ends = {partition: claimed.next_offset for partition, claimed in claims.items()}
                refused = await dead_letters.recent(connection, ends, dead_letter_limit.WINDOW)
                await refused_timestamps.delete_before(connection, starts)
                return _Claimed(claims, dedup, refused, await refused_timestamps.load(connection, ends), grown)

        claims, dedup, refused, decided, grown = await retry_while_transient(
            claim, "claiming partitions", self._pulse.beat
        )
        halted = {partition: why for partition, why in self.halted.items() if partition not in claims}
        for partition, claimed in claims.items():
            start, end = bounds[partition]
            self._epochs[partition] = claimed.epoch
            self._unclaimed.discard(partition)
            if start <= claimed.next_offset <= end:
                mine = OwnedPartition(self._signals[partition[0]], claimed, dedup[partition], refused[partition])
                mine.decided = decided[partition]
                self._begin(partition, mine, start)
            else:
                self.halted_at[partition] = claimed.next_offset
                halted[partition] = f"next offset {claimed.next_offset} is outside of the log, {start} to {end}"
        self._set_halted(halted)
        self._placement.note_growth(grown)
        log.info("partitions_claimed", partitions=len(self.owned), halted=len(halted))

    def _begin(self, partition: Partition, mine: OwnedPartition, log_start: int) -> None:
        """Continue with a partition, from the record before if it is still there, to check that the log is the same."""
        self.folded_before.setdefault(partition, min(mine.claim.next_offset, mine.dedup.end))
        mine.position = mine.claim.next_offset
        if mine.claim.fingerprint is not None and mine.position > log_start:
            mine.unverified = mine.claim.fingerprint
            mine.position -= 1
        self._consumer.seek(TopicPartition(*partition), mine.position)
        self._consumer.resume(TopicPartition(*partition))
        self.owned[partition] = mine

    async def _log_bounds(self, partitions: Collection[Partition]) -> dict[Partition, tuple[int, int]]:
        wanted = [TopicPartition(*partition) for partition in partitions]

        async def bounds() -> dict[Partition, tuple[int, int]]:
            starts = await self._consumer.beginning_offsets(wanted)
            ends = await self._consumer.end_offsets(wanted)
            return {(each.topic, each.partition): (starts[each], ends[each]) for each in wanted}

        return await until_answered(bounds, self._pulse, self._contact)

    def rewind(self) -> None:
        """Seek back to the next offsets to poll: a failed poll may have skipped some."""
        for partition, mine in self.owned.items():
            self._consumer.seek(TopicPartition(*partition), mine.position)

    def verified(self, partition: Partition, records: list[ConsumerRecord]) -> list[ConsumerRecord]:
        """The records after those that were folded. If these came from another log, halt the partition and return
        none.
        """
        mine = self.owned[partition]
        expected, mine.unverified = mine.unverified, None
        before, *after = records
        if before.offset != mine.claim.next_offset - 1:
            return records  # the record is gone, so there is nothing to compare with
        if fingerprint(before) == expected:
            return after
        self.halt(partition, f"the record at offset {before.offset} isn't the one that was folded: another log")
        return []

    def give_up(self, partitions: Iterable[Partition]) -> None:
        """Forget partitions that another process has claimed."""
        for partition in partitions:
            self.owned.pop(partition, None)
            self._ending.pop(partition, None)
            self._buffer.drop(partition)
            self._consumer.pause(TopicPartition(*partition))
            log.warning("partition_lost", topic=partition[0], partition=partition[1])

    def halt(self, partition: Partition, why: str) -> None:
        """Stop folding a partition until an operator decides."""
        self._consumer.pause(TopicPartition(*partition))
        self._ending.pop(partition, None)
        if mine := self.owned.pop(partition, None):
            self.halted_at[partition] = mine.claim.next_offset
        self._buffer.drop(partition)
        self._set_halted({**self.halted, partition: why})

    def halt_once_folded(self, partition: Partition, why: str) -> None:
        """Take no more records of a partition, and halt it once the buffered ones are folded: an operator continues
        after them.
        """
        if partition in self.owned:
            self._consumer.pause(TopicPartition(*partition))
            self._ending.setdefault(partition, why)

    def is_ending(self, partition: Partition) -> bool:
        """True if no more records of the partition are taken."""
        return partition in self._ending

    def _halt_ended(self) -> None:
        for partition, why in list(self._ending.items()):
            mine = self.owned[partition]
            if mine.claim.next_offset >= mine.position:
                self.halt(partition, why)

    def positions(self) -> dict[Partition, int]:
        """The next offsets to poll, of partitions that aren't ending."""
        return {partition: mine.position for partition, mine in self.owned.items() if partition not in self._ending}

    @property
    def trouble(self) -> str:
        """The halted partitions and reasons, for probes; empty if there are none."""
        return "; ".join(f"{topic} {partition} is halted: {why}" for (topic, partition), why in self.halted.items())

    def _set_halted(self, halted: dict[Partition, str]) -> None:
        for (topic, partition), why in halted.items():
            if self.halted.get((topic, partition)) != why:
                log.error(
                    "partition_halted",
                    topic=topic,
                    partition=partition,
                    why=why,
                    remedy=f"account-health progress set {topic} {partition} earliest|latest|OFFSET",
                )
        self.halted = halted
        metrics.HALTED_PARTITIONS.set(len(halted))

    async def _note_halted(self) -> None:
        async with self._engine.begin() as connection:
            await progress.save_halted(connection, self._epochs, self.halted)
        self._noted = dict(self.halted)


async def _load_seen(connection: AsyncConnection, partitions: Sequence[Partition]) -> dict[Partition, Deduplicator]:
    runs: dict[Partition, list[HashRun]] = {partition: [] for partition in partitions}
    for row in await seen_events.load(connection, partitions):
        hashes = np.frombuffer(row.hashes, dtype=np.uint64)
        runs[row.topic, row.partition].append(HashRun(row.last_offset, row.newest_at, hashes))
    return {partition: Deduplicator(found) for partition, found in runs.items()}
