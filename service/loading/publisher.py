"""Publishing chunks of events to Kafka as large batches, and learning when they are safe there."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder

from service.errors import HealthError
from service.loading.drafts import Draft
from service.loading.partitions import Places
from service.settings import Settings

PATIENCE_SECONDS = 60.0
"""How long Kafka may confirm nothing before a load gives up."""

NEW_TOPIC_SECONDS = 3.0
"""How long a topic may be missing: a broker hears of one that was just created a little later."""

CLIENT_ID = "account-health-load"
MOST_BATCH_BYTES = 512 * 1024
_MOST_REQUEST_BYTES = 32 * 1024 * 1024
_LEAST_BATCH_BYTES = 16 * 1024
_CLOSE_SECONDS = 5.0

Receipts = list[asyncio.Future[object]]


class Publisher:
    """A producer for whole files. Made by `connect`."""

    def __init__(
        self, producer: AIOKafkaProducer, admin: AIOKafkaAdminClient, cluster: str, settings: Settings
    ) -> None:
        """`cluster` is the cluster's id."""
        self.cluster = cluster
        self._producer = producer
        self._admin = admin
        self._servers = settings.kafka_bootstrap_servers
        self._topics = settings.topics
        self._places: dict[str, Places] = {}

    async def require(self, topics: Collection[str]) -> None:
        """Learn where topics' events go, before any is published. Raises `HealthError` if a topic isn't there."""
        patience = time.monotonic() + NEW_TOPIC_SECONDS
        while missing := sorted(set(topics) - self._places.keys()):
            try:
                partitions = await partitions_of(self._admin, missing)
            except KafkaError as error:
                raise self._explain(error) from None
            self._places |= {topic: Places(count) for topic, count in partitions.items()}
            if partitions.keys() >= set(missing):
                return
            if time.monotonic() > patience:
                absent = next(topic for topic in missing if topic not in partitions)
                raise HealthError(
                    f"Kafka at {self._servers} has no topic {absent}", "Run: account-health topics create"
                )
            await asyncio.sleep(0.1)

    async def publish(self, events: Sequence[Draft]) -> Receipts:
        """Hand events over to be sent; waits while Kafka is behind. Raises `HealthError`."""
        receipts: Receipts = []
        try:
            for topic, partition, batch in self._pack(events):
                receipts.append(await self._producer.send_batch(batch, topic, partition=partition))
        except KafkaError as error:
            raise self._explain(error) from None
        return receipts

    async def confirm(self, receipts: Receipts) -> None:
        """Return when every in-sync replica has what the receipts are for. Raises `HealthError`."""
        waiting = set(receipts)
        while waiting:
            done, waiting = await asyncio.wait(waiting, timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                raise self._explain(KafkaTimeoutError())
            for receipt in done:
                if error := receipt.exception():
                    raise self._explain(error) from None

    def _pack(self, events: Sequence[Draft]) -> Iterator[tuple[str, int, BatchBuilder]]:
        """Batches of one partition each: those that are full first, the rest at the end."""
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

    def _explain(self, error: BaseException) -> Exception:
        if isinstance(error, MessageSizeTooLargeError):
            return HealthError(
                f"Kafka at {self._servers} takes no batch of {MOST_BATCH_BYTES:,} bytes",
                "Raise max.message.bytes of the topic, or message.max.bytes of the broker",
            )
        if isinstance(error, KafkaTimeoutError):
            return HealthError(f"Kafka at {self._servers} has stopped to answer")
        return HealthError(f"Kafka at {self._servers} answered with an error: {str(error) or type(error).__name__}")


@asynccontextmanager
async def connect(settings: Settings) -> AsyncIterator[Publisher]:
    """A publisher until the end of the block. Raises `HealthError` if Kafka can't be reached."""
    servers = settings.kafka_bootstrap_servers
    admin = AIOKafkaAdminClient(bootstrap_servers=servers, client_id=CLIENT_ID)
    try:
        producer, cluster = await _start(admin, settings)
        try:
            yield Publisher(producer, admin, cluster, settings)
        finally:
            await _close(producer)
    finally:
        await admin.close()


async def _start(admin: AIOKafkaAdminClient, settings: Settings) -> tuple[AIOKafkaProducer, str]:
    """A producer, and the id of the cluster it is for; or its address, if it has no id."""
    servers = settings.kafka_bootstrap_servers
    try:
        await admin.start()
        cluster: str = (await admin.describe_cluster()).get("cluster_id") or servers
        partitions = await partitions_of(admin, settings.topics.values())
        # No compression: gzip, the only codec without another dependency, takes 14 µs an event, 40 times the rest.
        producer = AIOKafkaProducer(
            bootstrap_servers=servers,
            client_id=CLIENT_ID,
            acks="all",
            enable_idempotence=True,
            max_batch_size=_batch_bytes(max(sum(partitions.values()), settings.kafka_partitions)),
        )
        try:
            await producer.start()
        except BaseException:
            await _close(producer)
            raise
    except (KafkaError, ValueError) as error:
        why = "" if isinstance(error, KafkaConnectionError) else f": {error}"
        raise HealthError(
            f"Kafka at {servers} can't be reached{why}", "Check HEALTH_KAFKA_BOOTSTRAP_SERVERS and that the broker runs"
        ) from None
    return producer, cluster


def _batch_bytes(partitions: int) -> int:
    """A request takes one batch of every partition; the broker takes requests of up to 100 MB."""
    return max(min(MOST_BATCH_BYTES, _MOST_REQUEST_BYTES // partitions), _LEAST_BATCH_BYTES)


async def partitions_of(admin: AIOKafkaAdminClient, topics: Collection[str]) -> dict[str, int]:
    """How many partitions each of the topics has, those that are there."""
    found = await admin.describe_topics()  # all of them, as asking for one by name may create it
    return {topic["topic"]: len(topic["partitions"]) for topic in found if topic["topic"] in topics}


async def _close(producer: AIOKafkaProducer) -> None:
    """Stop the producer. One whose broker is gone would wait for it forever."""
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await producer.stop()
    except (TimeoutError, KafkaError):
        await producer.client.close()
