"""The service's Kafka producer: idempotent, and every in-sync replica confirms."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from msgspec import Struct

from service.messaging.client_config import CLIENT_ID, client_arguments
from service.runtime.settings import Settings

BROKERS_DEFAULT_BYTES = 1_048_588
"""The broker's default of `max.message.bytes`."""
_CLOSE_SECONDS = 5.0


class ProducerOptions(Struct, frozen=True, kw_only=True):
    """The differences between producers."""

    batch_bytes: int
    """The most bytes in a batch of records of one partition."""
    request_bytes: int = BROKERS_DEFAULT_BYTES
    """The most bytes in one record."""
    request_timeout_ms: int = 40_000
    linger_ms: int = 0
    """The time that a batch waits for more records."""
    compression: Literal["gzip"] | None = None
    client_id: str = CLIENT_ID


@asynccontextmanager
async def open_producer(settings: Settings, options: ProducerOptions) -> AsyncIterator[AIOKafkaProducer]:
    """A connected producer until the end of the block, for a command that ends if Kafka is away.

    Raises `KafkaError`, and `HealthError` if the connection settings can't be used.
    """
    producer = await connect(settings, options)
    try:
        yield producer
    finally:
        await _stop(producer)


async def connect(settings: Settings, options: ProducerOptions) -> AIOKafkaProducer:
    """A connected producer, which the caller stops. Raises as `open_producer` does."""
    producer = AIOKafkaProducer(
        **client_arguments(settings),
        client_id=options.client_id,
        acks="all",
        enable_idempotence=True,
        request_timeout_ms=options.request_timeout_ms,
        max_request_size=options.request_bytes,
        max_batch_size=options.batch_bytes,
        linger_ms=options.linger_ms,
        compression_type=options.compression,
    )
    try:
        await producer.start()
    except BaseException:
        await _stop(producer)
        raise
    return producer


async def _stop(producer: AIOKafkaProducer) -> None:
    """Stop a producer. Without a bound, one whose broker is gone would wait for it forever."""
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await producer.stop()
    except (TimeoutError, KafkaError):
        await producer.client.close()
