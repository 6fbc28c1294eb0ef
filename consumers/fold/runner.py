"""The consumer process: polls, decodes, folds and mirrors offsets concurrently until it is stopped."""

import asyncio
import time
from collections.abc import Awaitable, Iterable

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import KafkaError

from consumers.fold import kafka
from consumers.fold.apply import TooLongError
from consumers.fold.buffer import PartitionBuffers, RecordBuffer, bisect, record_count
from consumers.fold.folder import Folder
from consumers.fold.kafka import until_answered
from consumers.fold.lag import LagWatch
from consumers.fold.offset_mirror import OffsetMirror
from consumers.fold.ownership import Ownership
from consumers.fold.placement import PlacementWatch
from consumers.fold.poller import Poller
from service.messaging import foreign_topics
from service.messaging.client_config import CLIENT_ID, client_arguments
from service.messaging.kafka_availability import KafkaAvailability, unreachable
from service.observability import metrics
from service.observability.probes import Pulse, serve_probes
from service.runtime.batch_size import BatchSize
from service.runtime.errors import HealthError
from service.runtime.garbage_collection import collect, gc_by_hand
from service.runtime.settings import Settings
from service.runtime.tasks import until_first
from service.storage.database import clock_check
from service.storage.database.clock_check import OneClock
from service.storage.database.engine import create_engine

log = structlog.get_logger(__name__)

TAKE_SECONDS = 0.2
"""The longest that a step waits for records; stop signals are handled between steps."""
COLLECT_SECONDS = 10.0
METADATA_SECONDS = 10.0
"""Interval of metadata refreshes. If the first one fails because the broker went away, aiokafka doesn't retry by
itself; if such a consumer leads its group, no partitions are assigned until it does.
"""
LEAVE_SECONDS = 5.0
TOPICS_PATIENCE_SECONDS = 5.0
"""Brokers learn of a new topic one after another."""
A_DAY_MS = 86_400_000


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Consume until `stop` is set, finishing the current batch. Raises `HealthError` with a remedy."""
    folding, polling = (Pulse(name, settings.watchdog_seconds) for name in ("fold", "poll"))
    engine = create_engine(settings, "consume", by_key=True)
    clock = OneClock()
    consumer = _consumer(settings)
    try:
        async with serve_probes(settings, folding, polling):
            contact = KafkaAvailability(settings)
            await _connect(consumer, settings, (folding, polling), contact, stop)
            await _require_topics(consumer, settings, folding, contact)
            await foreign_topics.warn(settings)
            sizes = BatchSize(settings.batch_max_records)
            buffer = RecordBuffer(sizes.most_ahead)
            placement = PlacementWatch(time.time)
            ownership = Ownership(consumer, engine, settings, buffer, folding, contact, placement)
            mirror, lag = OffsetMirror(consumer, contact), LagWatch(consumer, ownership)
            folder = Folder(engine, ownership, settings, folding, clock, mirror.add)
            consumer.subscribe(list(settings.topics.values()), listener=ownership)
            with gc_by_hand():
                await until_first(
                    _Worker(ownership, folder, buffer, sizes, lag, contact, clock, folding).run(stop),
                    Poller(consumer, ownership, buffer, settings, polling, placement, clock).run(),
                    clock_check.keep_comparing(engine, clock),
                    mirror.run(),
                    lag.run(),
                    kafka.raise_once_client_fails(consumer),
                )
            await _in_time(mirror.flush())
    finally:
        await _in_time(consumer.stop())
        await engine.dispose()


def _consumer(settings: Settings) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        **client_arguments(settings),
        group_id=settings.kafka_group,
        group_instance_id=settings.kafka_instance_id or None,
        client_id=CLIENT_ID,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        partition_assignment_strategy=(RangePartitionAssignor,),
        session_timeout_ms=round(settings.kafka_session_seconds * 1000),
        heartbeat_interval_ms=round(settings.kafka_session_seconds * 1000 / 4),
        rebalance_timeout_ms=120_000,
        # A consumer that waits for Postgres doesn't poll, and another one would wait too. A stuck one fails its /livez.
        max_poll_interval_ms=A_DAY_MS,
        metadata_max_age_ms=round(METADATA_SECONDS * 1000),
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )


async def _connect(
    consumer: AIOKafkaConsumer,
    settings: Settings,
    pulses: Iterable[Pulse],
    contact: KafkaAvailability,
    stop: asyncio.Event,
) -> None:
    wait = 0.5
    while True:
        try:
            await consumer.start()
        except KafkaError as error:
            trouble = await contact.record_failure(error)
            for pulse in pulses:
                pulse.beat(trouble)
            if stop.is_set():
                raise await unreachable(settings, error) from None
            await asyncio.sleep(wait)
            wait = min(wait * 2, 10.0)
        else:
            contact.record_success()
            return


async def _require_topics(
    consumer: AIOKafkaConsumer, settings: Settings, pulse: Pulse, contact: KafkaAvailability
) -> None:
    deadline = 0.0  # starts with the first reply
    while missing := sorted(set(settings.topics.values()) - await until_answered(consumer.topics, pulse, contact)):
        deadline = deadline or time.monotonic() + TOPICS_PATIENCE_SECONDS
        if time.monotonic() > deadline:
            raise HealthError(f"Kafka has no topic {', '.join(missing)}", "Run: account-health topics create")
        await asyncio.sleep(0.2)


async def _in_time(leaving: Awaitable[None]) -> None:
    """Await a last action, but not a broker that is away or rebalancing: it will notice by itself."""
    try:
        async with asyncio.timeout(LEAVE_SECONDS):
            await leaving
    except TimeoutError:
        log.warning("broker_not_waited_for", after_seconds=LEAVE_SECONDS)
    except KafkaError:
        pass  # of a background task; it is why the consumer stops, and has already been reported


class _Worker:
    """Step by step: claim partitions, take buffered records, fold them."""

    def __init__(
        self,
        ownership: Ownership,
        folder: Folder,
        buffer: RecordBuffer,
        sizes: BatchSize,
        lag: LagWatch,
        contact: KafkaAvailability,
        clock: OneClock,
        pulse: Pulse,
    ) -> None:
        self._ownership = ownership
        self._folder = folder
        self._buffer = buffer
        self._sizes = sizes
        self._lag = lag
        self._contact = contact
        self._clock = clock
        self._pulse = pulse
        self._under_way = 0
        self._collected_at = time.monotonic()

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            step = asyncio.create_task(self._step(stop))
            self._ownership.give_up_writing = step.cancel
            try:
                await asyncio.wait({step})
            finally:
                step.cancel()
                await asyncio.wait({step})
            if not step.cancelled():
                step.result()
            elif self._under_way:
                self._cut(self._under_way, "a rebalance")
            self._under_way = 0

    def _cut(self, records: int, reason: str) -> None:
        self._sizes.given_up(records)
        log.warning("batch_size_cut", given_up=records, limit=self._sizes.limit, reason=reason)
        self._bound()

    def _bound(self) -> None:
        self._buffer.most = self._sizes.most_ahead
        metrics.BATCH_LIMIT.set(self._sizes.limit)

    async def _step(self, stop: asyncio.Event) -> None:
        async with self._ownership.writing:
            await self._ownership.update_claims()
        wrong = self._clock.trouble
        self._pulse.beat(self._ownership.trouble or self._contact.trouble or wrong, remark=self._clock.remark)
        if wrong:
            await asyncio.sleep(TAKE_SECONDS)  # fold nothing into the wrong day
        elif buffers := await self._buffer.take(TAKE_SECONDS):
            await self._fold(buffers, stop)
        if time.monotonic() - self._collected_at >= COLLECT_SECONDS:
            collect()
            self._collected_at = time.monotonic()

    async def _fold(self, buffers: PartitionBuffers, stop: asyncio.Event) -> None:
        """Fold records in parts of limited size; a rebalance may come between two parts. One that takes too long is
        folded in smaller parts.

        Records of partitions lost meanwhile are left out of the next part, because only the next step claims them
        again.
        """
        parts = [buffers]
        while parts and not stop.is_set():
            part = parts.pop()
            records = record_count(part)
            if records > self._sizes.limit:
                parts += reversed(list(bisect(part)))
                continue
            self._under_way = records
            try:
                async with self._ownership.writing:
                    started = time.monotonic()
                    await self._folder.fold(part)
                    took = time.monotonic() - started
            except TooLongError as error:
                self._cut(records, str(error))
                parts.append(part)
            else:
                held = sum(map(record_count, parts)) + len(self._buffer)
                self._sizes.done(records, took, max(held, self._lag.records))
                self._bound()
            self._under_way = 0
            self._pulse.beat(self._ownership.trouble or self._contact.trouble, remark=self._clock.remark)
