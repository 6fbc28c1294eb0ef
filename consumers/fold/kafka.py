"""Helpers around the Kafka consumer: re-read records, pause an idle fetch, wait for a broker."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Container
from contextlib import asynccontextmanager
from typing import TypeVar

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from consumers.fold.record_batches import is_unreadable
from consumers.fold.reread import reread
from service.messaging.client_config import client_arguments
from service.messaging.kafka_availability import KafkaAvailability
from service.messaging.kafka_errors import refusal_in
from service.observability.probes import Pulse
from service.runtime.errors import HealthError
from service.runtime.settings import Settings
from service.storage.ingest.progress import Partition

PATIENCE_SECONDS = 10.0
POLL_MILLISECONDS = 500
RETRY_SECONDS = 1.0

KafkaReply = TypeVar("KafkaReply")


class GoneError(LookupError):
    """Raised when a record is no longer in the log."""


async def fetch(settings: Settings, partition: Partition, offset: int, pulse: Pulse) -> ConsumerRecord:
    """Fetch the record at an offset, waiting until Kafka is available. Raises `GoneError` if the log no longer holds
    it.
    """
    found = await fetch_range(settings, partition, offset, offset + 1, pulse)
    if not found:
        raise GoneError(f"offset {offset} is no longer in the log")
    return found[0]


async def fetch_range(
    settings: Settings, partition: Partition, start: int, stop: int, pulse: Pulse
) -> list[ConsumerRecord]:
    """Fetch the readable records from `start` to before `stop`, waiting until Kafka is available."""
    return await until_answered(
        lambda: _fetch(settings, TopicPartition(*partition), start, stop), pulse, KafkaAvailability(settings)
    )


async def _fetch(settings: Settings, partition: TopicPartition, start: int, stop: int) -> list[ConsumerRecord]:
    found: list[ConsumerRecord] = []
    async with _reader(settings) as consumer:
        consumer.assign([partition])
        first = (await consumer.beginning_offsets([partition]))[partition]
        consumer.seek(partition, max(start, first))
        deadline = time.monotonic() + PATIENCE_SECONDS
        # Offsets have gaps: compacted records and transaction markers. Only the position shows them.
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
        **client_arguments(settings),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="none",
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def pause_fetching(consumer: AIOKafkaConsumer, owned: Container[Partition], seconds: float) -> None:
    """Fetch nothing for `seconds`.

    Apache Kafka delays its reply until there are records; a broker that replies at once would be polled in a busy loop.
    """
    asked = consumer.assignment() - consumer.paused()
    consumer.pause(*asked)
    await asyncio.sleep(seconds)
    # A rebalance meanwhile may have revoked partitions.
    kept = {each for each in asked if (each.topic, each.partition) in owned}
    consumer.resume(*(kept & consumer.assignment()))


async def raise_once_client_fails(consumer: AIOKafkaConsumer) -> None:
    """Watch a started consumer until cancelled. Raises `HealthError` once it can never fetch records again.

    A defect in aiokafka can end these tasks; polls then fail or return nothing for the rest of the process.
    """
    tasks: set[asyncio.Task[None]] = {
        consumer._coordinator._coordination_task,
        consumer._fetcher._fetch_task,
        consumer._client._sync_task,
    }
    ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    failure = next((task.exception() for task in ended if not task.cancelled()), None)
    raise (failure and refusal_in(failure)) or HealthError(
        f"The Kafka client has failed: {failure or 'its task ended'}",
        "Restart the process: it continues where it stopped",
    ) from failure


async def until_answered(
    ask: Callable[[], Awaitable[KafkaReply]], pulse: Pulse, contact: KafkaAvailability
) -> KafkaReply:
    """Ask Kafka until it replies, however long it is away or refuses; the process is alive meanwhile, but not ready."""
    while True:
        try:
            answer = await ask()
        except KafkaError as error:
            pulse.beat(await contact.record_failure(error))
        else:
            contact.record_success()
            return answer
        await asyncio.sleep(RETRY_SECONDS)
