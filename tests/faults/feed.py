"""Sending the stream while the broker comes and goes."""

import asyncio

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from service.settings import Settings
from tests.faults.mutations import Mutations
from tests.faults.stream import Sent, Stream

_CHUNK = 500
_REST_SECONDS = 0.03
"""After a chunk, so that a piece of the stream takes about as long to send as to fold."""


class Feed:
    """Sends a stream up to where it was released, and keeps at it until the broker has it all.

    What is sent again, because its answer was lost, is one duplicate more.
    """

    def __init__(self, stream: Stream | Mutations, settings: Settings) -> None:
        """Nothing is released yet."""
        self._stream = stream
        self._settings = settings
        self._released = 0
        self._more = asyncio.Event()
        self._producer: AIOKafkaProducer | None = None
        self.sent = 0

    def release(self, up_to: int) -> None:
        """Let the stream go on until so many records were sent."""
        self._released = up_to
        self._more.set()

    async def run(self, total: int) -> None:
        """Send `total` records, as they are released."""
        try:
            while self.sent < total:
                await self._more.wait()
                if count := min(_CHUNK, min(self._released, total) - self.sent):
                    await self._deliver(self._stream.take(count))
                    self.sent += count
                    await asyncio.sleep(_REST_SECONDS)
                else:
                    self._more.clear()
        finally:
            await self._hang_up()

    async def _deliver(self, records: list[Sent]) -> None:
        while records:
            try:
                records = await self._try(records)
            except KafkaError:
                await self._hang_up()
                await asyncio.sleep(0.5)

    async def _try(self, records: list[Sent]) -> list[Sent]:
        """Send records; returns those that the broker has not acknowledged."""
        producer = await self._connected()
        topics = self._settings.topics
        sending = [
            await producer.send(topics[record.signal], key=record.key, value=record.value, headers=list(record.headers))
            for record in records
        ]
        answers = await asyncio.gather(*sending, return_exceptions=True)
        return [record for record, answer in zip(records, answers, strict=True) if isinstance(answer, BaseException)]

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = AIOKafkaProducer(
                bootstrap_servers=self._settings.kafka_bootstrap_servers, acks="all", enable_idempotence=True
            )
            try:
                await producer.start()
            except KafkaError:
                await producer.stop()
                raise
            self._producer = producer
        return self._producer

    async def _hang_up(self) -> None:
        if self._producer is not None:
            producer, self._producer = self._producer, None
            await producer.stop()
