"""Asking Kafka until it answers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aiokafka.errors import KafkaError

from service.messaging.kafka_availability import Contact
from service.observability.probes import Pulse

RETRY_SECONDS = 1.0
Answer = TypeVar("Answer")


async def until_answered(ask: Callable[[], Awaitable[Answer]], pulse: Pulse, contact: Contact) -> Answer:
    """What Kafka answers, however long it is away or refuses us; the process is alive meanwhile, but not ready."""
    while True:
        try:
            answer = await ask()
        except KafkaError as error:
            pulse.beat(await contact.lost(error))
        else:
            contact.found()
            return answer
        await asyncio.sleep(RETRY_SECONDS)
