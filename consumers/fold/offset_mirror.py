"""Commits folded offsets to Kafka for tools that show lag; nothing here reads them back."""

import asyncio
import time

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from service.messaging.kafka_availability import KafkaAvailability
from service.storage.ingest.progress import OffsetMove, Partition

log = structlog.get_logger(__name__)

MIRROR_SECONDS = 1.0
CONTACT_SECONDS = 10.0
"""Interval of the requests that check Kafka while there are no offsets to commit."""
PATIENCE_SECONDS = 5.0


class OffsetMirror:
    """Commits to Kafka the offsets that Postgres already has, and so notices when Kafka is away."""

    def __init__(self, consumer: AIOKafkaConsumer, contact: KafkaAvailability) -> None:
        """Nothing is committed before `run` or `flush`; `contact` is notified of success and failure."""
        self._consumer = consumer
        self._contact = contact
        self._moves: dict[TopicPartition, int] = {}
        self._heard_at = time.monotonic()

    def add(self, moves: dict[Partition, OffsetMove]) -> None:
        """Queue these offsets for the next commit."""
        self._moves |= {TopicPartition(*partition): move.next_offset for partition, move in moves.items()}

    async def run(self) -> None:
        """Commit once a second until cancelled."""
        while True:
            await asyncio.sleep(MIRROR_SECONDS)
            await self.flush()

    async def flush(self) -> None:
        """Commit the queued offsets now, or check Kafka if it hasn't been heard of for long."""
        assigned = self._consumer.assignment()
        moves = {partition: offset for partition, offset in self._moves.items() if partition in assigned}
        self._moves = {}
        if not moves and (not assigned or time.monotonic() - self._heard_at < CONTACT_SECONDS):
            return
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                if moves:
                    await self._consumer.commit(moves)
                else:
                    await self._consumer.end_offsets(sorted(assigned)[:1])
        except TimeoutError:
            self._moves = moves | self._moves
            await self._contact.record_failure(TimeoutError(f"no answer within {PATIENCE_SECONDS:g} seconds"))
        except KafkaError as error:  # such as a rebalance: the next owner commits
            log.info("offsets_not_mirrored", reason=str(error))
        else:
            self._contact.record_success()
            self._heard_at = time.monotonic()
