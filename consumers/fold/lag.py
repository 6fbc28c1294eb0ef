"""Consumer lag in records: the part of the log that isn't folded yet."""

import asyncio

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from consumers.fold.ownership import Ownership
from service.observability import metrics
from service.storage.ingest.progress import Partition

log = structlog.get_logger(__name__)

UPDATE_SECONDS = 1.0
"""Batches grow by what is known of the lag, so a consumer that starts far behind should learn it soon."""
PATIENCE_SECONDS = 5.0


class LagWatch:
    """Asks Kafka regularly for the ends of the logs, and publishes the lag by topic.

    The ends aren't taken from the last fetch: nothing is fetched from halted partitions, and too little while batches
    are full.
    """

    def __init__(self, consumer: AIOKafkaConsumer, ownership: Ownership) -> None:
        """Nothing is published before `run`."""
        self._consumer = consumer
        self._ownership = ownership
        self._shown: set[str] = set()
        self.records = 0
        """The lag over all topics, as of the last update."""

    async def run(self) -> None:
        """Update every few seconds until cancelled."""
        while True:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self.update()
            except IllegalStateError:
                log.debug("lag_not_known", reason="a rebalance came in between")
            except (TimeoutError, KafkaError) as error:
                log.debug("lag_not_known", reason=str(error) or type(error).__name__)
            await asyncio.sleep(UPDATE_SECONDS)

    async def update(self) -> None:
        """Publish the current lag. Raises `KafkaError` or TimeoutError if Kafka doesn't reply."""
        wanted = sorted(self._consumer.assignment())
        ends = await self._consumer.end_offsets(wanted) if wanted else {}
        lags = dict.fromkeys(self._shown | {each.topic for each in wanted}, 0)
        for each, end in ends.items():
            if (folded := await self._folded((each.topic, each.partition))) is not None:
                lags[each.topic] += max(end - folded, 0)
        for topic, lag in lags.items():
            metrics.LAG_RECORDS.labels(topic).set(lag)
        self._shown = set(lags)
        self.records = sum(lags.values())

    async def _folded(self, partition: Partition) -> int | None:
        """The offset up to which nothing is left to fold; None if the partition isn't claimed yet."""
        mine = self._ownership.owned.get(partition)
        if mine is None:
            return self._ownership.halted_at.get(partition)
        if mine.position == mine.claim.next_offset:
            # Nothing is buffered, so aiokafka has only skipped transaction markers.
            position: int = await self._consumer.position(TopicPartition(*partition))
            return max(mine.position, position)
        return mine.claim.next_offset
