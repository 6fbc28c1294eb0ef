"""The consumer's loop: poll, prepare, apply, mirror the offsets."""

import asyncio
import gc
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaConnectionError, KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.apply import FencedError, apply, settle
from consumers.batch import Batch, prepare
from consumers.idling import rest
from consumers.ownership import Ownership
from service import metrics
from service.errors import HealthError
from service.evaluation import Outcome
from service.policy import PolicyCache
from service.settings import Settings
from service.storage.engine import create_engine
from service.storage.progress import Partition
from service.storage.transient import persistently

log = structlog.get_logger(__name__)

POLL_MILLISECONDS = 100
SHORT_POLL_MILLISECONDS = 10
MIRROR_SECONDS = 1.0
LEAVE_SECONDS = 5.0
TOPICS_PATIENCE_SECONDS = 5.0
"""Brokers learn of a new topic one after the other."""
Polled = Mapping[Partition, Sequence[ConsumerRecord]]


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Consume until `stop` is set; the batch under way is finished first. Raises `HealthError` with a remedy."""
    engine = create_engine(settings, "consume")
    consumer = _consumer(settings)
    try:
        ownership = Ownership(consumer, engine, settings)
        await _connect(consumer, settings, stop)
        await _require_topics(consumer, settings)
        consumer.subscribe(list(settings.topics.values()), listener=ownership)
        gc.collect()
        gc.freeze()
        await _Loop(consumer, ownership, engine, settings).run(stop)
    finally:
        await _leave(consumer)
        await engine.dispose()


def _consumer(settings: Settings) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        group_id=settings.kafka_group,
        group_instance_id=settings.kafka_instance_id or None,
        client_id="account-health",
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        partition_assignment_strategy=(RangePartitionAssignor,),
        session_timeout_ms=round(settings.kafka_session_seconds * 1000),
        heartbeat_interval_ms=round(settings.kafka_session_seconds * 1000 / 4),
        rebalance_timeout_ms=120_000,
        max_poll_interval_ms=600_000,
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )


async def _connect(consumer: AIOKafkaConsumer, settings: Settings, stop: asyncio.Event) -> None:
    wait = 0.5
    while True:
        try:
            await consumer.start()
        except KafkaConnectionError as error:
            log.warning("kafka_unavailable", servers=settings.kafka_bootstrap_servers, reason=str(error), retry_in=wait)
            if stop.is_set():
                raise HealthError(f"Kafka at {settings.kafka_bootstrap_servers} can't be reached") from None
            await asyncio.sleep(wait)
            wait = min(wait * 2, 10.0)
        else:
            return


async def _require_topics(consumer: AIOKafkaConsumer, settings: Settings) -> None:
    deadline = time.monotonic() + TOPICS_PATIENCE_SECONDS
    while missing := sorted(set(settings.topics.values()) - await consumer.topics()):
        if time.monotonic() > deadline:
            raise HealthError(f"Kafka has no topic {', '.join(missing)}", "Run: account-health topics create")
        await asyncio.sleep(0.2)


async def _leave(consumer: AIOKafkaConsumer) -> None:
    """Leave the group. A broker that is away or in the middle of a rebalance isn't waited for: it will notice."""
    try:
        async with asyncio.timeout(LEAVE_SECONDS):
            await consumer.stop()
    except TimeoutError:
        log.warning("group_not_left", after_seconds=LEAVE_SECONDS)


class _Loop:
    def __init__(
        self, consumer: AIOKafkaConsumer, ownership: Ownership, engine: AsyncEngine, settings: Settings
    ) -> None:
        self._consumer = consumer
        self._ownership = ownership
        self._engine = engine
        self._settings = settings
        self._policies = PolicyCache(settings.retention_days, time.monotonic)
        self._mirror: dict[TopicPartition, int] = {}
        self._mirrored_at = 0.0

    async def run(self, stop: asyncio.Event) -> None:
        stopping = asyncio.create_task(stop.wait())
        while not stop.is_set():
            polled = await self._poll(stopping)
            if self._ownership.failure is not None:
                raise self._ownership.failure
            if polled:
                async with self._ownership.writing:
                    await self._fold(polled)
            elif self._settings.kafka_idle_seconds:
                await rest(self._consumer, self._ownership.halted, self._settings.kafka_idle_seconds)
            await self._mirror_offsets(MIRROR_SECONDS)
        await self._mirror_offsets(0.0)

    async def _poll(self, stopping: asyncio.Task[bool]) -> Polled:
        getting = asyncio.ensure_future(
            self._consumer.getmany(
                timeout_ms=SHORT_POLL_MILLISECONDS if self._settings.kafka_idle_seconds else POLL_MILLISECONDS,
                max_records=self._settings.batch_max_records,
            )
        )
        # During a rebalance `getmany` waits for its end, whatever its timeout.
        await asyncio.wait({getting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not getting.done():
            getting.cancel()  # what it may have got is lost with it, and nothing after it is folded
            return {}
        try:
            polled = getting.result()
        except NoOffsetForPartitionError:
            return {}  # Kafka knows no offset for a partition that is being claimed; Postgres does
        except OffsetOutOfRangeError as error:
            for partition, offset in error.args[0].items():
                self._ownership.halt((partition.topic, partition.partition), f"the log no longer holds offset {offset}")
            return {}
        except KafkaConnectionError as error:
            log.warning("kafka_unavailable", reason=str(error), retry_in=1.0)
            await asyncio.sleep(1.0)
            return {}
        return {(partition.topic, partition.partition): records for partition, records in polled.items()}

    async def _fold(self, polled: Polled) -> None:
        """Write all of `polled` that is ours. Under the lock: what is ours changes meanwhile only by fencing."""
        started = time.perf_counter()
        while True:
            batch = prepare(polled, self._ownership.owned, self._settings.max_record_bytes)
            if not batch.moves:
                return
            try:
                outcome = await persistently(partial(self._apply, batch), "folding a batch")
            except FencedError as fenced:
                self._ownership.give_up(fenced.partitions)
            else:
                break
        settle(batch, self._ownership.owned)
        self._mirror |= {TopicPartition(*partition): offset for partition, (_, offset) in batch.moves.items()}
        _observe(batch, outcome, time.perf_counter() - started)

    async def _apply(self, batch: Batch) -> Outcome:
        now = datetime.now(UTC)
        return await apply(self._engine, batch, self._policies, now, self._settings.base_url)

    async def _mirror_offsets(self, every: float) -> None:
        """Commit to Kafka what Postgres already has, for tools that show lag; nothing here reads it back."""
        if not self._mirror or time.monotonic() - self._mirrored_at < every:
            return
        assigned = self._consumer.assignment()
        mirror = {partition: offset for partition, offset in self._mirror.items() if partition in assigned}
        self._mirror = {}
        self._mirrored_at = time.monotonic()
        try:
            if mirror:
                await self._consumer.commit(mirror)
        except KafkaError as error:
            log.info("offsets_not_mirrored", reason=str(error))


def _observe(batch: Batch, outcome: Outcome, seconds: float) -> None:
    metrics.BATCH_SECONDS.observe(seconds)
    metrics.BATCH_RECORDS.observe(batch.records)
    for (topic, result), count in batch.outcomes.items():
        metrics.EVENTS.labels(topic, result).inc(count)
    log.debug(
        "batch_folded",
        records=batch.records,
        accounts=outcome.accounts,
        late=outcome.late,
        alerts=outcome.alerts,
        dead_letters=len(batch.dead_letters),
        seconds=round(seconds, 3),
    )
