"""Reads the service's own topics from their beginning to their present end, as the log of a back-test."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError
from msgspec import Struct, field
from xxhash import xxh3_64, xxh3_64_hexdigest

from scoring.state.calendar import day_of
from scoring.state.events import Event
from service.jobs.backtest.code_fingerprint import code_fingerprint
from service.jobs.backtest.event_log import NOTHING, partitions_for_events
from service.jobs.backtest.partitioned_log import (
    Contents,
    PartitionedLog,
    PartitionWriter,
    finish_log,
    unfinished_folder,
)
from service.jobs.load.kafka_cluster import CLIENT_ID, KafkaCluster
from service.jobs.load.terminal import Advance, ProgressBar, StoppedError, bar, reason_of
from service.messaging.cloudevents import MAX_AHEAD, decode_binary, decode_structured, now_micros
from service.messaging.envelope import InvalidEventError
from service.messaging.kafka_records import LAST_MS, binary_headers
from service.runtime.errors import HealthError
from service.runtime.settings import Settings, Signal

POLL_RECORDS = 20_000
POLL_MILLISECONDS = 500
PATIENCE_SECONDS = 30.0
"""The seconds without any progress after which Kafka counts as gone."""

Offsets = dict[TopicPartition, int]


async def partition_topics(
    settings: Settings, state_dir: Path, stop: asyncio.Event, progress: ProgressBar = bar
) -> PartitionedLog:
    """The events in the service's topics by account, in a folder in `state_dir`: one for each content.

    Records that consumers would refuse are left out and counted. `progress` shows the reading. Raises `StoppedError`
    when `stop` is set, and `HealthError` if Kafka or a topic is missing, a record can't be read, or there are no
    events.
    """
    cluster = KafkaCluster(settings)
    try:
        await cluster.start()
        signals: dict[str, Signal] = {topic: signal for signal, topic in settings.topics.items()}
        counts = await cluster.require(signals)
        partitions = [TopicPartition(topic, number) for topic, count in counts.items() for number in range(count)]
        reader = _Reader(cluster, signals, settings.max_record_bytes, stop)
        return await reader.run(state_dir, partitions, progress)
    except KafkaError as error:
        raise cluster.to_operator_error(error) from None
    finally:
        await cluster.stop()


class _Found(Struct):
    """The events read so far, in numbers; `digests` are of the records of each partition."""

    accounts: set[str] = field(default_factory=set)
    first_day: int | None = None
    newest: int = 0
    refused: int = 0
    digests: dict[TopicPartition, xxh3_64] = field(default_factory=dict)

    def add(self, events: Sequence[Event]) -> None:
        if events:
            times = [event.at for event in events]
            self.accounts.update(event.account_id for event in events)
            first = day_of(min(times))
            self.first_day = first if self.first_day is None else min(self.first_day, first)
            self.newest = max(self.newest, *times)


class _Reader:
    """One pass over all partitions."""

    def __init__(self, cluster: KafkaCluster, signals: dict[str, Signal], max_bytes: int, stop: asyncio.Event) -> None:
        self._cluster = cluster
        self._signals = signals
        self._max_bytes = max_bytes
        self._stop = stop
        self._found = _Found()
        self._latest = min((now_micros() + MAX_AHEAD) // 1000, LAST_MS)

    async def run(self, state_dir: Path, partitions: list[TopicPartition], progress: ProgressBar) -> PartitionedLog:
        consumer = AIOKafkaConsumer(
            **self._cluster.connection,
            client_id=CLIENT_ID,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
        )
        with unfinished_folder(state_dir) as folder:
            try:
                await consumer.start()
                consumer.assign(partitions)
                begin, end = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
                total = sum(end[each] - begin[each] for each in partitions)
                writer = PartitionWriter(folder, partitions_for_events(total))
                with progress("Reading topics", total) as advance:
                    await self._read(consumer, begin, end, writer, advance)
            finally:
                await consumer.stop()
            return finish_log(folder, self._contents(writer))

    def _contents(self, writer: PartitionWriter) -> Contents:
        writer.close()
        found = self._found
        if found.first_day is None:
            topics = ", ".join(self._signals)
            raise HealthError(f"{topics}: no events. {NOTHING}", "Send events, or give a log as files")
        records = sorted((*partition, digest.hexdigest()) for partition, digest in found.digests.items())
        digest = xxh3_64_hexdigest(repr((records, self._max_bytes, code_fingerprint())).encode())
        return Contents(digest, writer.written, len(found.accounts), found.first_day, found.newest, found.refused)

    async def _read(
        self, consumer: AIOKafkaConsumer, begin: Offsets, end: Offsets, writer: PartitionWriter, advance: Advance
    ) -> None:
        """Read up to `end`. Offsets have gaps, so only the position shows where a partition is."""
        at = dict(begin)
        loop = asyncio.get_running_loop()
        moved = loop.time()
        while waiting := [each for each in at if at[each] < end[each]]:
            if self._stop.is_set():
                raise StoppedError(f"Stopped while reading. {NOTHING}")
            consumer.pause(*(at.keys() - set(waiting)))
            for partition, records in (await self._poll(consumer)).items():
                mine = [record for record in records if record.offset < end[partition]]
                events = await asyncio.to_thread(self._decode, partition, mine)
                await asyncio.to_thread(writer.add, events)
            for partition in waiting:
                position = await consumer.position(partition)
                if position > at[partition]:
                    advance(min(position, end[partition]) - at[partition])
                    at[partition], moved = position, loop.time()
            if loop.time() - moved > PATIENCE_SECONDS:
                first = waiting[0]
                raise HealthError(
                    f"Kafka gives no record of {first.topic} partition {first.partition} after offset {at[first]:,}. "
                    f"{NOTHING}",
                    "Check the broker, and that no producer left a transaction open",
                )

    async def _poll(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, list[ConsumerRecord]]:
        try:
            polled: dict[TopicPartition, list[ConsumerRecord]] = await consumer.getmany(
                timeout_ms=POLL_MILLISECONDS, max_records=POLL_RECORDS
            )
        except KafkaError:
            raise
        except Exception as error:  # noqa: BLE001 - unreadable bytes raise errors of any part of aiokafka
            raise HealthError(
                f"A record of {', '.join(self._signals)} can't be read: {reason_of(error)}. {NOTHING}",
                "See account-health progress, which names the partition that consumers have halted",
            ) from None
        return polled

    def _decode(self, partition: TopicPartition, records: Sequence[ConsumerRecord]) -> list[Event]:
        digest = self._found.digests.setdefault(partition, xxh3_64())
        events = []
        for record in records:
            if record.value is None:
                continue
            digest.update(f"{record.offset} {record.timestamp} {len(record.value)} ".encode())
            digest.update(record.value)
            event = self._event(self._signals[partition.topic], record)
            if event is None:
                self._found.refused += 1
            else:
                events.append(event)
        self._found.add(events)
        return events

    def _event(self, signal: Signal, record: ConsumerRecord) -> Event | None:
        """The record's event; None if consumers refuse it."""
        value, timestamp = record.value, record.timestamp
        if timestamp is None or not 0 <= timestamp <= self._latest or len(value) > self._max_bytes:
            return None
        try:
            if record.headers and (headers := binary_headers(record.headers)):
                return decode_binary(signal, headers, value, timestamp * 1000).event
            return decode_structured(signal, value, timestamp * 1000).event
        except InvalidEventError:
            return None
