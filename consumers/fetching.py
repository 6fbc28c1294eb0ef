"""One record once more, whole."""

import asyncio

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from service.settings import Settings
from service.storage.progress import Partition

log = structlog.get_logger(__name__)

RETRY_SECONDS = 1.0


async def fetch(settings: Settings, partition: Partition, offset: int) -> ConsumerRecord:
    """The record at an offset, which must be in the log; waits until Kafka is there."""
    while True:
        try:
            return await _fetch(settings, TopicPartition(*partition), offset)
        except KafkaError as error:
            log.warning("kafka_unavailable", reason=str(error), retry_in=RETRY_SECONDS)
            await asyncio.sleep(RETRY_SECONDS)


async def _fetch(settings: Settings, partition: TopicPartition, offset: int) -> ConsumerRecord:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap_servers,
        isolation_level="read_committed",
        enable_auto_commit=False,
    )
    try:
        await consumer.start()
        consumer.assign([partition])
        consumer.seek(partition, offset)
        return await consumer.getone(partition)
    finally:
        await consumer.stop()
