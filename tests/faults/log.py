"""What the topics hold in the end."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from service.settings import Settings
from service.storage.progress import Partition


class Log:
    """All topics, from beginning to end."""

    def __init__(self, consumer: AIOKafkaConsumer, ends: dict[Partition, int]) -> None:
        """`ends` are the next offsets by partition."""
        self.ends = ends
        self._consumer = consumer

    async def records(self) -> AsyncIterator[ConsumerRecord]:
        """Every record, those of a partition in their order."""
        left = sum(self.ends.values())
        while left:
            for records in (await self._consumer.getmany(timeout_ms=500)).values():
                for record in records:
                    yield record
                left -= len(records)


@asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[Log]:
    """The log up to where it ends now; nothing of it may have been deleted."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        isolation_level="read_committed",
        enable_auto_commit=False,
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    await consumer.start()
    try:
        topics = settings.topics.values()
        partitions = [TopicPartition(topic, n) for topic in topics for n in range(settings.kafka_partitions)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        yield Log(consumer, {(partition.topic, partition.partition): end for partition, end in ends.items()})
    finally:
        await consumer.stop()
