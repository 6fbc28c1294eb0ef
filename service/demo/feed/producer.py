"""Sending the demo's events to Kafka."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer

from service.demo.world.events import DemoEvent
from service.messaging.producer import ProducerOptions, open_producer
from service.runtime.settings import Settings
from service.storage.ingest.progress import Partition

TURN = 500
"""Events between two turns of the event loop."""


class Producer:
    """Sends events to the topics of their signals, with the account as key."""

    def __init__(self, producer: AIOKafkaProducer, settings: Settings) -> None:
        """`producer` is connected."""
        self._producer = producer
        self._topics = settings.topics

    @classmethod
    @asynccontextmanager
    async def connected(cls, settings: Settings) -> AsyncIterator["Producer"]:
        """A producer while the block runs. It compresses, because the embedded broker keeps all in one file."""
        options = ProducerOptions(batch_bytes=262_144, linger_ms=20, compression="gzip")
        async with open_producer(settings, options) as producer:
            yield cls(producer, settings)

    async def send(self, events: Iterable[DemoEvent], *, backfill: bool = False) -> dict[Partition, int]:
        """Send all and wait until the broker has them; returns the next offset by partition."""
        sent = []
        for number, event in enumerate(events):
            value = event.encode(backfill=backfill)
            sent.append(await self._producer.send(self._topics[event.signal], value, key=event.account_id.encode()))
            if number % TURN == TURN - 1:
                await asyncio.sleep(0)
        ends: dict[Partition, int] = {}
        for record in await asyncio.gather(*sent):
            partition = (record.topic, record.partition)
            ends[partition] = max(ends.get(partition, 0), record.offset + 1)
        return ends
