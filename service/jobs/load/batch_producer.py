"""Publishing chunks of events to Kafka as large batches, and confirming that they are stored there."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError
from aiokafka.partitioner import murmur2
from aiokafka.producer.message_accumulator import BatchBuilder

from service.jobs.load.kafka_cluster import CLIENT_ID, KafkaCluster
from service.jobs.load.row_validation import EventDraft
from service.messaging.producer import ProducerOptions, open_producer
from service.runtime.settings import Settings


def partition_of(key: bytes, partitions: int) -> int:
    """The partition that Kafka's own clients choose for a key, so that an account's loaded and live events meet."""
    hashed: int = murmur2(key)
    return (hashed & 0x7FFFFFFF) % partitions


class Places:
    """A cache of the key and partition of accounts in one topic, as hashing in Python takes microseconds."""

    def __init__(self, partitions: int) -> None:
        """`partitions` is the topic's number of partitions."""
        self._partitions = partitions
        self._known: dict[str, tuple[bytes, int]] = {}

    def of(self, account_id: str) -> tuple[bytes, int]:
        """The record key of the account's events, and their partition."""
        place = self._known.get(account_id)
        if place is None:
            key = account_id.encode()
            place = self._known[account_id] = (key, partition_of(key, self._partitions))
        return place


PATIENCE_SECONDS = 60.0
"""The seconds without a confirmation from Kafka after which a load gives up."""

MOST_BATCH_BYTES = 512 * 1024
_MOST_REQUEST_BYTES = 32 * 1024 * 1024
_LEAST_BATCH_BYTES = 16 * 1024

Receipts = list[asyncio.Future[object]]


class BatchProducer:
    """A producer for whole files. Made by `connect`; its methods raise `HealthError`."""

    def __init__(self, producer: AIOKafkaProducer, cluster: KafkaCluster, settings: Settings) -> None:
        """`producer` publishes to `cluster`."""
        self.cluster = cluster
        self._producer = producer
        self._topics = settings.topics
        self._places: dict[str, Places] = {}

    async def require(self, topics: Collection[str]) -> None:
        """Read the topics' partitions; call it before publishing. All topics must exist."""
        partitions = await self.cluster.require(topics)
        self._places |= {topic: Places(count) for topic, count in partitions.items()}

    async def publish(self, events: Sequence[EventDraft]) -> Receipts:
        """Queue events for sending; waits while Kafka is behind."""
        receipts: Receipts = []
        try:
            for topic, partition, batch in self._pack(events):
                receipt = await self._producer.send_batch(batch, topic, partition=partition)
                receipt.add_done_callback(_ignore_error)
                receipts.append(receipt)
        except KafkaError as error:
            raise self.cluster.to_operator_error(error) from None
        return receipts

    async def confirm(self, receipts: Receipts) -> None:
        """Return when every in-sync replica has the events of these receipts."""
        waiting = set(receipts)
        while waiting:
            done, waiting = await asyncio.wait(waiting, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                raise self.cluster.to_operator_error(KafkaTimeoutError())
            for receipt in done:
                if (error := receipt.exception()) is not None:
                    raise self.cluster.to_operator_error(error) from None

    def _pack(self, events: Sequence[EventDraft]) -> Iterator[tuple[str, int, BatchBuilder]]:
        """Batches of one partition each: full ones first, the rest at the end."""
        batches: dict[tuple[str, int], BatchBuilder] = {}
        now = int(time.time() * 1000)
        for event in events:
            topic = self._topics[event.signal]
            key, partition = self._places[topic].of(event.account_id)
            place = (topic, partition)
            batch = batches.get(place)
            if batch is None:
                batch = batches[place] = self._producer.create_batch()
            if batch.append(timestamp=now, key=key, value=event.value) is None:
                yield topic, partition, batch
                batch = batches[place] = self._producer.create_batch()
                batch.append(timestamp=now, key=key, value=event.value)
        for (topic, partition), batch in batches.items():
            yield topic, partition, batch


@asynccontextmanager
async def connect(settings: Settings) -> AsyncIterator[BatchProducer]:
    """A producer until the end of the block. Raises `HealthError` if Kafka can't be reached."""
    cluster = KafkaCluster(settings)
    try:
        await cluster.start()
        partitions = await cluster.partitions(settings.topics.values())
        # No compression: gzip, the only codec without another dependency, takes 14 µs an event, 40 times the rest.
        most = max(sum(partitions.values()), settings.kafka_partitions)
        async with open_producer(
            settings, ProducerOptions(client_id=CLIENT_ID, batch_bytes=_batch_bytes(most))
        ) as producer:
            yield BatchProducer(producer, cluster, settings)
    except KafkaError as error:
        raise cluster.to_operator_error(error) from None
    finally:
        await cluster.stop()


def _ignore_error(receipt: asyncio.Future[object]) -> None:
    """Keep asyncio from logging the error of a receipt that is never awaited, because an earlier one ended the load."""
    if not receipt.cancelled():
        receipt.exception()


def _batch_bytes(partitions: int) -> int:
    """A request takes one batch of every partition; the broker takes requests of up to 100 MB."""
    return max(min(MOST_BATCH_BYTES, _MOST_REQUEST_BYTES // partitions), _LEAST_BATCH_BYTES)
