"""Asking Kafka until it answers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from aiokafka.errors import KafkaError

from service.probes import KAFKA_AWAY, Pulse

log = structlog.get_logger(__name__)

RETRY_SECONDS = 1.0
Answer = TypeVar("Answer")


async def until_answered(ask: Callable[[], Awaitable[Answer]], pulse: Pulse) -> Answer:
    """What Kafka answers, however long it is away; the process is alive meanwhile, but not ready."""
    while True:
        try:
            return await ask()
        except KafkaError as error:
            log.warning("kafka_unavailable", reason=str(error), retry_in=RETRY_SECONDS)
        pulse.beat(KAFKA_AWAY)
        await asyncio.sleep(RETRY_SECONDS)
