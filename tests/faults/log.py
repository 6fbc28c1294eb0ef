"""The contents of the topics at the end of a run."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from service.messaging.topics import partitions_of
from service.runtime.settings import Settings
from service.storage.ingest.progress import Partition


class Log:
    """All topics, from beginning to end."""

    def __init__(self, consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> None:
        """`ends` are where the committed part of each partition ends."""
        self._consumer = consumer
        self._ends = ends

    @property
    def partitions(self) -> Sequence[Partition]:
        """All partitions of the topics."""
        return [(each.topic, each.partition) for each in self._ends]

    async def records(self) -> AsyncIterator[ConsumerRecord]:
        """Every record that is committed, those of a partition in their order."""
        while await self._has_more():
            for records in (await self._consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    yield record

    async def _has_more(self) -> bool:
        """True unless all partitions are read to their ends. A position goes past marks of transactions, too."""
        return any([await self._consumer.position(each) < end for each, end in self._ends.items()])


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
        counts = {topic: await partitions_of(settings, topic) for topic in settings.topics.values()}
        partitions = [TopicPartition(topic, number) for topic, count in counts.items() for number in range(count)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        yield Log(consumer, await consumer.end_offsets(partitions))
    finally:
        await consumer.stop()
