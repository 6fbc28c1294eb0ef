"""Telling Kafka how far was folded, for tools that show lag; nothing here reads it back."""

import asyncio
import time

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from service.storage.progress import Move, Partition

log = structlog.get_logger(__name__)

MIRROR_SECONDS = 1.0
CONTACT_SECONDS = 10.0
"""How often Kafka is asked for a sign of life while there is nothing to tell it."""


class Mirror:
    """Commits to Kafka what Postgres already has, beside the work, and so notices when Kafka is away."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        """Nothing is told before `run` or `flush`."""
        self.kafka_is_away = False
        self._consumer = consumer
        self._moves: dict[TopicPartition, int] = {}
        self._heard_at = time.monotonic()

    def add(self, moves: dict[Partition, Move]) -> None:
        """Have these told with the next round."""
        self._moves |= {TopicPartition(*partition): move.next_offset for partition, move in moves.items()}

    async def run(self) -> None:
        """Tell once a second, until cancelled."""
        while True:
            await asyncio.sleep(MIRROR_SECONDS)
            await self.flush()
            if time.monotonic() - self._heard_at >= CONTACT_SECONDS:
                await self._contact()

    async def flush(self) -> None:
        """Tell now. What can't be told will be told with the next move of its partition."""
        assigned = self._consumer.assignment()
        mirror = {partition: offset for partition, offset in self._moves.items() if partition in assigned}
        self._moves = {}
        if not mirror:
            return
        try:
            await self._consumer.commit(mirror)
            self._heard()
        except KafkaError as error:
            log.info("offsets_not_mirrored", reason=str(error))

    async def _contact(self) -> None:
        try:
            await self._consumer.topics()
            self._heard()
        except KafkaError as error:
            self.kafka_is_away = True
            log.warning("kafka_unavailable", reason=str(error), retry_in=MIRROR_SECONDS)

    def _heard(self) -> None:
        if self.kafka_is_away:
            log.info("kafka_is_back")
        self.kafka_is_away = False
        self._heard_at = time.monotonic()
