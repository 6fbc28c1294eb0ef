"""Asking a broker less often while it has nothing."""

import asyncio
from collections.abc import Container

from aiokafka import AIOKafkaConsumer

from service.storage.ingest.progress import Partition


async def rest(consumer: AIOKafkaConsumer, owned: Container[Partition], seconds: float) -> None:
    """Fetch nothing for so long.

    Apache Kafka holds a fetch back until there are records; a broker that answers at once would be asked without end.
    """
    asked = consumer.assignment() - consumer.paused()
    consumer.pause(*asked)
    await asyncio.sleep(seconds)
    # A rebalance may have come between, and taken partitions away.
    kept = {each for each in asked if (each.topic, each.partition) in owned}
    consumer.resume(*(kept & consumer.assignment()))
