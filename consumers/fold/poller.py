"""Polls Kafka and decodes into the record buffer while the previous batch is written."""

import asyncio
import time

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaError,
    OffsetOutOfRangeError,
    RecordTooLargeError,
)

from consumers.fold import batch_tracing, timestamps
from consumers.fold.buffer import RecordBuffer
from consumers.fold.decode import as_decided, decode
from consumers.fold.kafka import pause_fetching
from consumers.fold.ownership import Ownership
from consumers.fold.placement import PlacementWatch, sample
from consumers.fold.record_batches import is_unreadable
from consumers.fold.reread import reread
from service.messaging.kafka_availability import KafkaAvailability
from service.messaging.kafka_errors import refusal_in
from service.observability import metrics, tracing
from service.observability.probes import Pulse
from service.runtime.settings import Settings
from service.storage.database.clock_check import OneClock
from service.storage.ingest.progress import Partition

log = structlog.get_logger(__name__)

POLL_RECORDS = 2_000
"""The most records decoded between two turns of the event loop: a few milliseconds, so that heartbeats go out."""
POLL_MILLISECONDS = 200
SHORT_POLL_MILLISECONDS = 10
ROOM_SECONDS = 1.0
RETRY_SECONDS = 1.0
ACCESS_SECONDS = 10.0
CLOCK_SECONDS = 0.1
"""Interval of checks while the clock is wrong."""


class Poller:
    """Polls for ever, as long as there is room in the buffer."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        ownership: Ownership,
        buffer: RecordBuffer,
        settings: Settings,
        pulse: Pulse,
        placement: PlacementWatch,
        clock: OneClock,
    ) -> None:
        """Polled records go to `buffer`; `placement` checks their partitions, and `clock` decides which are ahead of
        time.
        """
        self._consumer = consumer
        self._ownership = ownership
        self._buffer = buffer
        self._settings = settings
        self._pulse = pulse
        self._placement = placement
        self._clock = clock
        self._contact = KafkaAvailability(settings)
        self._decoding_seconds = 0.0
        self._refused_at = 0.0

    async def run(self) -> None:
        """Poll until cancelled."""
        idle_seconds = self._settings.kafka_idle_seconds
        milliseconds = SHORT_POLL_MILLISECONDS if idle_seconds else POLL_MILLISECONDS
        while True:
            wrong = self._clock.trouble
            self._pulse.beat(self._contact.trouble or wrong, remark=self._clock.remark or self._placement.remark())
            if wrong:
                await asyncio.sleep(CLOCK_SECONDS)  # timestamps are checked against it
            elif await self._buffer.room(ROOM_SECONDS) and not await self._poll(milliseconds) and idle_seconds:
                await pause_fetching(self._consumer, self._ownership.owned, idle_seconds)

    async def _poll(self, milliseconds: int) -> int:
        """Poll once; returns the number of records.

        From the moment aiokafka returns records and moves its position until they are buffered or dropped, nothing else
        gets a turn, so a rebalance, which resets positions, comes before or after.
        """
        most = min(POLL_RECORDS, self._buffer.left)
        try:
            polled = await self._consumer.getmany(timeout_ms=milliseconds, max_records=most)
        except Exception as error:  # noqa: BLE001 - unreadable bytes raise errors of any part of aiokafka
            return await self._after(error)
        self._decoding_seconds = 0.0
        for partition, records in polled.items():
            self._buffer_records((partition.topic, partition.partition), records)
        if polled or self._has_access_again():
            self._contact.record_success()
        if polled:
            metrics.BATCH_PHASE_SECONDS.labels("decode").observe(self._decoding_seconds)
        return sum(map(len, polled.values()))

    def _partitions_of(self, topic: str) -> int:
        return len(self._consumer.partitions_for_topic(topic) or ())

    async def _after(self, error: Exception) -> int:
        """Continue after a failed poll with all partitions except those at fault; returns the number of records."""
        reason = str(error) or type(error).__name__
        self._halt_culprits(error)
        self._ownership.rewind()
        if isinstance(error, KafkaError):
            await self._report_refusal(error)
        if is_unreadable(error) and (count := await self._read_singly(error)):
            log.warning("poll_read_singly", reason=reason, records=count)
            return count
        log.warning("poll_failed", reason=reason, retry_in=RETRY_SECONDS)
        await asyncio.sleep(RETRY_SECONDS)
        return 0

    async def _read_singly(self, error: Exception) -> int:
        """Read each partition by itself: a poll of all failed at unreadable bytes without naming the partition.

        Raises `error` if all can be read, because then it has another cause.
        """
        positions = self._ownership.positions()
        try:
            found = await reread(self._settings, positions)
        except KafkaError as unanswered:
            log.warning("poll_failed", reason=str(unanswered) or type(unanswered).__name__, retry_in=RETRY_SECONDS)
            return 0
        # Others may have had a turn meanwhile: leave partitions alone whose position was reset.
        still = self._ownership.positions()
        found = {partition: each for partition, each in found.items() if still.get(partition) == positions[partition]}
        for partition, reading in found.items():
            if reading.records:
                self._buffer_records(partition, reading.records)
            if partition in self._ownership.owned:
                self._consumer.seek(TopicPartition(*partition), reading.next_offset)
                if reading.broken:
                    self._ownership.halt_once_folded(partition, reading.broken)
        if not isinstance(error, KafkaError) and not any(
            each.records or each.broken or each.mended for each in found.values()
        ):
            raise error
        return sum(len(each.records) for each in found.values())

    async def _report_refusal(self, error: KafkaError) -> None:
        """Report missing rights to the log and probes. Raises `HealthError` if only a restart helps."""
        if refused := refusal_in(error):
            if isinstance(error, GroupAuthorizationFailedError):
                raise refused from None  # aiokafka has given up on the group
            self._refused_at = time.monotonic()
            await self._contact.record_failure(refused)

    def _has_access_again(self) -> bool:
        """True once polls have succeeded for long enough after a refusal, even without records: each refused fetch
        makes a poll fail.
        """
        return bool(self._contact.trouble) and time.monotonic() - self._refused_at > ACCESS_SECONDS

    def _halt_culprits(self, error: Exception) -> None:
        """Halt partitions that would fail again: their fault is permanent, and aiokafka may skip over it."""
        found: dict[TopicPartition, str] = {}
        if isinstance(error, OffsetOutOfRangeError):
            found = {each: f"the log no longer holds offset {offset}" for each, offset in error.args[0].items()}
        elif isinstance(error, RecordTooLargeError):
            _, partition, offset, most = error.args
            found = {partition: f"the record at offset {offset} is larger than can be fetched, {most:,} bytes"}
        for partition, why in found.items():
            self._ownership.halt_once_folded((partition.topic, partition.partition), why)

    def _buffer_records(self, partition: Partition, records: list[ConsumerRecord]) -> None:
        mine = self._ownership.owned.get(partition)
        if mine is None or self._ownership.is_ending(partition):
            return
        before, mine.position = mine.position, records[-1].offset + 1
        if mine.unverified is not None:
            records = self._ownership.verified(partition, records)
        latest = timestamps.latest(self._clock.now().timestamp())
        if (place := timestamps.broker_ahead(records, latest)) is not None:
            # Refusing it would refuse all that follow, though the topic's records have no fault.
            ahead, records = records[place], records[:place]
            mine.position = records[-1].offset + 1 if records else before
            self._ownership.halt_once_folded(partition, timestamps.blame_broker(ahead))
        if records:
            most = self._settings.max_record_bytes
            started = time.perf_counter()
            decoded = [decode(mine.signal, record, most, latest) for record in records]
            if mine.decided:
                decoded = [as_decided(*each, mine.decided) for each in zip(records, decoded, strict=True)]
            keys = [record.key for record in sample(records)]
            self._placement.check(partition, self._partitions_of(partition[0]), keys)
            self._decoding_seconds += time.perf_counter() - started
            self._buffer.add(partition, records, decoded)
            if tracing.is_on() and (found := batch_tracing.contexts(records)):
                self._buffer.trace(partition, found)
