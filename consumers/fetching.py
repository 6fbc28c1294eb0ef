"""Records once more, whole, of a log that was read before."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from consumers.batches import is_unreadable
from consumers.kafka_waiting import until_answered
from consumers.rereading import reread
from service.messaging.client_config import connection
from service.messaging.kafka_availability import Contact
from service.observability.probes import Pulse
from service.runtime.settings import Settings
from service.storage.ingest.progress import Partition

PATIENCE_SECONDS = 10.0
POLL_MILLISECONDS = 500


class GoneError(LookupError):
    """A record that is no longer in the log."""


async def fetch(settings: Settings, partition: Partition, offset: int, pulse: Pulse) -> ConsumerRecord:
    """The record at an offset; waits until Kafka is there. Raises `GoneError` if the log no longer holds it."""
    found = await fetch_range(settings, partition, offset, offset + 1, pulse)
    if not found:
        raise GoneError(f"offset {offset} is no longer in the log")
    return found[0]


async def fetch_range(
    settings: Settings, partition: Partition, start: int, stop: int, pulse: Pulse
) -> list[ConsumerRecord]:
    """The records from one offset to before another, as far as they can be read; waits until Kafka is there."""
    return await until_answered(
        lambda: _fetch(settings, TopicPartition(*partition), start, stop), pulse, Contact(settings)
    )


async def _fetch(settings: Settings, partition: TopicPartition, start: int, stop: int) -> list[ConsumerRecord]:
    found: list[ConsumerRecord] = []
    async with _reader(settings) as consumer:
        consumer.assign([partition])
        first = (await consumer.beginning_offsets([partition]))[partition]
        consumer.seek(partition, max(start, first))
        deadline = time.monotonic() + PATIENCE_SECONDS
        # Offsets have gaps: what was compacted away, and the marks of transactions, which only the position tells of.
        while first < stop and (at := await consumer.position(partition)) < stop and time.monotonic() < deadline:
            try:
                polled = await consumer.getmany(partition, timeout_ms=POLL_MILLISECONDS, max_records=stop - start)
            except OffsetOutOfRangeError:
                break
            except Exception as error:
                if not is_unreadable(error):
                    raise
                mine = (partition.topic, partition.partition)
                if (reading := (await reread(settings, {mine: at})).get(mine)) is None or reading.next_offset == at:
                    break
                polled = {partition: reading.records}
                consumer.seek(partition, reading.next_offset)
            found += [record for record in polled.get(partition, ()) if record.offset < stop]
    return found


@asynccontextmanager
async def _reader(settings: Settings) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        **connection(settings),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="none",
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()
