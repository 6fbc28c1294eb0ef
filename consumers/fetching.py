"""One record once more, whole."""

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from consumers.kafka_waiting import until_answered
from service.kafka_clients import connection
from service.kafka_contact import Contact
from service.probes import Pulse
from service.settings import Settings
from service.storage.progress import Partition


async def fetch(settings: Settings, partition: Partition, offset: int, pulse: Pulse) -> ConsumerRecord:
    """The record at an offset, which must be in the log; waits until Kafka is there."""
    return await until_answered(lambda: _fetch(settings, TopicPartition(*partition), offset), pulse, Contact(settings))


async def _fetch(settings: Settings, partition: TopicPartition, offset: int) -> ConsumerRecord:
    consumer = AIOKafkaConsumer(
        **connection(settings),
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
