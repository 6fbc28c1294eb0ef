"""Sending the stream while the broker comes and goes, in every manner that producers have."""

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.errors import KafkaError

from service.messaging.topics import partitions_of
from service.runtime.settings import Settings
from tests.faults.mutations import Mutations
from tests.faults.stream import Sent, Stream

_CHUNK = 500
_REST_SECONDS = 0.03
"""The pause after a chunk, so that sending a piece of the stream takes about as long as folding it."""
COMMITTED, ABORTED = "committed transaction", "aborted transaction"
_TURNS = ("none", "gzip", "snappy", "lz4", "zstd", COMMITTED, "none", "zstd", ABORTED)
COMPRESSIONS = 5
"""Ways to send chunks, taken in turn: compressed or not, in a transaction, or after one that is aborted."""
MANNERS = frozenset(_TURNS)
_TRANSACTION_SECONDS = 10
"""Consumers wait for a transaction that a lost producer has left open; the broker ends it after this time."""
_PATIENCE_SECONDS = 5.0
_MOST_PARTITIONS = 8


class Feed:
    """Sends the released part of a stream, and repeats until the broker has all of it.

    A record that is sent again, because the answer was lost, is one more duplicate.
    """

    def __init__(self, stream: Stream | Mutations, settings: Settings, *, transactions: bool = False) -> None:
        """Nothing is released yet. With `transactions`, offsets have gaps: marks, and aborted records."""
        self._stream = stream
        self._settings = settings
        self._turns = _TURNS if transactions else _TURNS[:COMPRESSIONS]
        self._released = 0
        self._more = asyncio.Event()
        self._sending = asyncio.Lock()
        self._producers: dict[str, AIOKafkaProducer] = {}
        self.sent = 0
        self.aborted = 0
        """Records of transactions that were aborted, which consumers go past."""
        self.manners: Counter[str] = Counter()
        """The number of chunks sent in each manner."""

    def release(self, up_to: int) -> None:
        """Release the stream up to a number of records."""
        self._released = up_to
        self._more.set()

    async def run(self, total: int) -> None:
        """Send `total` records, as they are released."""
        try:
            while self.sent < total:
                await self._more.wait()
                if count := min(_CHUNK, min(self._released, total) - self.sent):
                    async with self._sending:
                        await self._deliver(self._stream.take(count))
                    self.sent += count
                    await asyncio.sleep(_REST_SECONDS)
                else:
                    self._more.clear()
        finally:
            await self._hang_up()

    async def add_partition(self) -> None:
        """Add a partition to the topic of usage as the manual says: with no record under way that might be sent again,
        and without sending earlier ones again.
        """
        topic = self._settings.topic_usage
        async with self._sending:
            await self._hang_up()  # producers learn of partitions late
            if isinstance(self._stream, Stream):
                self._stream.forget()
            count = await partitions_of(self._settings, topic)
            if count < _MOST_PARTITIONS:
                admin = AIOKafkaAdminClient(bootstrap_servers=self._settings.kafka_bootstrap_servers)
                await admin.start()
                try:
                    await admin.create_partitions({topic: NewPartitions(total_count=count + 1)})
                finally:
                    await admin.close()

    async def _deliver(self, records: list[Sent]) -> None:
        manner = self._turns[self.manners.total() % len(self._turns)]
        self.manners[manner] += 1
        while records:
            try:
                if manner == ABORTED:
                    await self._in_transaction(records, commit=False)
                    records = await self._try(records, "none")
                elif manner == COMMITTED:
                    await self._in_transaction(records, commit=True)
                    return
                else:
                    records = await self._try(records, manner)
            except KafkaError:
                await self._hang_up()
                await asyncio.sleep(0.5)

    async def _in_transaction(self, records: list[Sent], *, commit: bool) -> None:
        """Send records in a transaction, and end it. After a failure it isn't known whether it was committed."""
        producer = await self._connected(COMMITTED)
        await producer.begin_transaction()
        await asyncio.gather(*await self._send(producer, records))
        if commit:
            await producer.commit_transaction()
        else:
            await producer.abort_transaction()
            self.aborted += len(records)

    async def _try(self, records: list[Sent], compression: str) -> list[Sent]:
        """Send records; returns those that the broker has not acknowledged."""
        sending = await self._send(await self._connected(compression), records)
        answers = await asyncio.gather(*sending, return_exceptions=True)
        return [record for record, answer in zip(records, answers, strict=True) if isinstance(answer, BaseException)]

    async def _send(self, producer: AIOKafkaProducer, records: list[Sent]) -> list[Any]:
        return [await self._post(producer, record) for record in records]

    async def _post(self, producer: AIOKafkaProducer, record: Sent) -> Any:
        topic, headers = self._settings.topics[record.signal], list(record.headers)
        if record.key is None and record.value is None:
            # `send` takes no record with neither, but Kafka does.
            batch = producer.create_batch()
            batch.append(timestamp=record.timestamp_ms, key=None, value=None, headers=headers)
            partition = min(await producer.partitions_for(topic))
            return await producer.send_batch(batch, topic, partition=partition)
        return await producer.send(
            topic, key=record.key, value=record.value, headers=headers, timestamp_ms=record.timestamp_ms
        )

    async def _connected(self, manner: str) -> AIOKafkaProducer:
        """The producer of a compression, or of transactions, whose earlier one, if it was lost, it fences."""
        if manner not in self._producers:
            ways: dict[str, Any] = (
                {
                    "transactional_id": "faults",
                    "transaction_timeout_ms": _TRANSACTION_SECONDS * 1000,
                    "compression_type": "lz4",
                }
                if manner == COMMITTED
                else {"compression_type": None if manner == "none" else manner}
            )
            producer = AIOKafkaProducer(
                bootstrap_servers=self._settings.kafka_bootstrap_servers, acks="all", enable_idempotence=True, **ways
            )
            try:
                await producer.start()
            except KafkaError:
                await producer.stop()
                raise
            self._producers[manner] = producer
        return self._producers[manner]

    async def _hang_up(self) -> None:
        producers, self._producers = self._producers, {}
        for producer in producers.values():
            with suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(producer.stop(), _PATIENCE_SECONDS)
