"""How far behind a consumer is, in records: what the log holds beyond what was folded."""

import asyncio

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError

from consumers.fold.ownership import Ownership
from service.observability import metrics
from service.storage.ingest.progress import Partition

log = structlog.get_logger(__name__)

LOOK_SECONDS = 5.0
PATIENCE_SECONDS = 5.0


class LagWatch:
    """Asks Kafka now and then how long the logs are, and shows the lag by topic.

    The end of a log is asked for, not taken from the last fetch: nothing is fetched of a partition that is halted, and
    less than there is while batches are full.
    """

    def __init__(self, consumer: AIOKafkaConsumer, ownership: Ownership) -> None:
        """Nothing is shown before `run`."""
        self._consumer = consumer
        self._ownership = ownership
        self._shown: set[str] = set()

    async def run(self) -> None:
        """Look every few seconds, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self.look()
            except IllegalStateError:
                log.debug("lag_not_known", reason="a rebalance came in between")
            except (TimeoutError, KafkaError) as error:
                log.debug("lag_not_known", reason=str(error) or type(error).__name__)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Show the lag as it is now. Raises `KafkaError` or TimeoutError where Kafka doesn't tell it."""
        wanted = sorted(self._consumer.assignment())
        ends = await self._consumer.end_offsets(wanted) if wanted else {}
        lags = dict.fromkeys(self._shown | {each.topic for each in wanted}, 0)
        for each, end in ends.items():
            if (folded := await self._folded((each.topic, each.partition))) is not None:
                lags[each.topic] += max(end - folded, 0)
        for topic, lag in lags.items():
            metrics.LAG_RECORDS.labels(topic).set(lag)
        self._shown = set(lags)

    async def _folded(self, partition: Partition) -> int | None:
        """Up to where there is nothing left to fold; None if the partition isn't claimed yet."""
        mine = self._ownership.owned.get(partition)
        if mine is None:
            return self._ownership.halted_at.get(partition)
        if mine.position == mine.claim.next_offset:
            # Nothing waits, so what aiokafka has gone past are no records: the marks of transactions.
            position: int = await self._consumer.position(TopicPartition(*partition))
            return max(mine.position, position)
        return mine.claim.next_offset
