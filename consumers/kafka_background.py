"""What aiokafka does behind a consumer: staying in the group, fetching, and learning of brokers and partitions.

It doesn't begin anew what has failed.
"""

import asyncio

from aiokafka import AIOKafkaConsumer

from service.messaging.kafka_errors import refusal_in
from service.runtime.errors import HealthError


async def watch(consumer: AIOKafkaConsumer) -> None:
    """Watch a started consumer until cancelled. Raises `HealthError` once it would take no more records, ever.

    A defect in aiokafka ends those tasks; polls then fail or give nothing, for as long as the process runs.
    """
    tasks: set[asyncio.Task[None]] = {
        consumer._coordinator._coordination_task,
        consumer._fetcher._fetch_task,
        consumer._client._sync_task,
    }
    ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    failure = next((task.exception() for task in ended if not task.cancelled()), None)
    raise (failure and refusal_in(failure)) or HealthError(
        f"The Kafka client has failed: {failure or 'it was ended'}", "Start the process again: it goes on where it was"
    ) from failure
