"""Publishes to Kafka from a process that must survive Kafka's absence."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError
from msgspec import Struct

from service.messaging.client_config import client_arguments
from service.messaging.kafka_availability import KafkaAvailability
from service.messaging.kafka_errors import KafkaRefusesError, refusal_in
from service.messaging.producer import BROKERS_DEFAULT_BYTES, ProducerOptions, connect
from service.runtime.settings import Settings

log = structlog.get_logger(__name__)

PATIENCE_SECONDS = 5.0
"""The most seconds that publishing may take, connecting included."""

PROBE_SECONDS = 10.0
"""The interval between probes while Kafka is unavailable."""
_REQUEST_TIMEOUT_MS = 4_000
_ROOM_FOR_ENVELOPE = 4_096

Record = tuple[str, str, bytes]
"""Topic, key and value."""


class RawRecord(Struct, frozen=True):
    """Any record that Kafka can hold. If `partition` is None or doesn't exist, the key chooses."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()
    partition: int | None = None


class NotPublishedError(Exception):
    """Kafka did not confirm every record in time. Those it did receive stay: publish all of them again."""


class NotConfirmedInTimeError(NotPublishedError):
    """Kafka is there, but took too long: fewer records may be confirmed in time."""


class RecordTooLargeError(NotPublishedError):
    """At least one record is larger than its topic allows: publishing it again won't help."""


class Publisher:
    """An idempotent producer that connects when it is first needed, and reconnects after a failure.

    Many tasks may call `publish` at once; records of one call and one key stay in order.
    """

    def __init__(self, settings: Settings, *, most_bytes: int = BROKERS_DEFAULT_BYTES) -> None:
        """Connects only in `start` or the first `publish`.

        A record of more than `most_bytes`, and more than consumers accept, is too large whatever its topic allows.
        Raises `HealthError` if the connection settings can't be used.
        """
        client_arguments(settings)
        self._settings = settings
        self._availability = KafkaAvailability(settings)
        self._is_stopped = False
        self._options = ProducerOptions(
            batch_bytes=max(65_536, settings.max_record_bytes),
            request_bytes=max(most_bytes, settings.max_record_bytes + _ROOM_FOR_ENVELOPE),
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
        )
        self._connecting: asyncio.Task[AIOKafkaProducer] | None = None
        self._closing: set[asyncio.Task[Any]] = set()
        self._diagnosing: asyncio.Task[str] | None = None
        self._probing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start connecting, so that the first `publish` needn't; returns at once, and never fails."""
        self._producer()

    async def stop(self) -> None:
        """Disconnect. No confirmed record is lost."""
        self._is_stopped = True
        for task in (self._diagnosing, self._probing):
            if task is not None:
                task.cancel()
        if self._connecting is not None:
            self._discard(self._connecting)
        if closing := set(self._closing):
            _, late = await asyncio.wait(closing, timeout=PATIENCE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def publish(self, records: Sequence[Record | RawRecord]) -> None:
        """Publish all records and wait until every in-sync replica has them. Raises `NotPublishedError`."""
        connecting = self._producer()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await _send(await asyncio.shield(connecting), records)
        except TimeoutError as error:
            self._diagnose(error)
            # The producer stays: it delivers what it holds when Kafka is back, and a record that was sent again
            # meanwhile is dropped as a duplicate.
            is_connected = connecting.done() and not connecting.cancelled() and connecting.exception() is None
            kind = NotConfirmedInTimeError if is_connected else NotPublishedError
            raise kind(f"Kafka did not confirm within {PATIENCE_SECONDS:g} seconds") from None
        except (MessageSizeTooLargeError, RecordListTooLargeError) as error:
            # What a broker has refused leaves a gap in the producer's sequence, and it would refuse all that follows.
            self._discard(connecting)
            raise RecordTooLargeError(str(error) or "the topic accepts no record of this size") from error
        except KafkaRefusesError as refused:
            raise NotPublishedError(str(refused)) from refused
        except (KafkaError, OSError) as error:
            self._discard(connecting)
            if forbidden := refusal_in(error):
                await self._availability.record_failure(forbidden)
                raise NotPublishedError(str(forbidden)) from forbidden
            self._diagnose(error)
            raise NotPublishedError(f"{type(error).__name__}: {error}") from error
        else:
            self._availability.record_success()

    def _producer(self) -> asyncio.Task[AIOKafkaProducer]:
        """The connection, made or being made: one for all callers."""
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._open())
        return self._connecting

    async def _open(self) -> AIOKafkaProducer:
        try:
            producer = await connect(self._settings, self._options)
        except Exception as error:
            self._drop_failed()
            await self._availability.record_failure(error)
            self._start_probing()
            if self._availability.refused:
                raise self._availability.refused from error
            raise
        self._availability.record_success()
        return producer

    def _drop_failed(self) -> None:
        """Let the next `publish` reconnect, while those waiting for this connection learn why it failed."""
        failed = self._connecting
        if failed is not None and failed is asyncio.current_task():
            self._connecting = None
            self._closing.add(failed)
            failed.add_done_callback(self._end)

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._closing.discard(task)
        if not task.cancelled():
            task.exception()  # has been logged by now

    def _diagnose(self, error: Exception) -> None:
        """Find out and log why Kafka doesn't confirm, while callers already get their answer."""
        if self._diagnosing is None:
            self._diagnosing = asyncio.create_task(self._availability.record_failure(error))
            self._diagnosing.add_done_callback(self._diagnosed)

    def _diagnosed(self, diagnosing: asyncio.Task[Any]) -> None:
        self._diagnosing = None
        self._end(diagnosing)
        self._start_probing()

    def _start_probing(self) -> None:
        if not self._is_stopped and (self._probing is None or self._probing.done()):
            self._probing = asyncio.create_task(self._probe_until_back())

    async def _probe_until_back(self) -> None:
        """Probe until Kafka is back, so that metrics and the log show it before the next `publish`."""
        while True:
            await asyncio.sleep(PROBE_SECONDS)
            if not self._availability.trouble:
                return
            connecting = self._producer()
            await asyncio.wait({connecting})
            if connecting.cancelled() or connecting.exception() is not None:
                continue
            with suppress(KafkaError, OSError):
                await connecting.result().client.fetch_all_metadata()
                self._availability.record_success()

    def _discard(self, connecting: asyncio.Task[AIOKafkaProducer]) -> None:
        if self._connecting is connecting:
            self._connecting = None
            closing = asyncio.create_task(_close(connecting))
            self._closing.add(closing)
            closing.add_done_callback(self._end)


async def _send(producer: AIOKafkaProducer, records: Sequence[Record | RawRecord]) -> None:
    confirmations = []
    for record in records:
        if isinstance(record, RawRecord):
            confirmations.append(await _send_raw(producer, record))
        else:
            topic, key, value = record
            confirmations.append(await producer.send(topic, value, key=key.encode()))
    await asyncio.gather(*confirmations)


async def _send_raw(producer: AIOKafkaProducer, record: RawRecord) -> Any:
    partitions: set[int] = await producer.partitions_for(record.topic)
    partition = record.partition if record.partition in partitions else None
    headers = list(record.headers)
    if record.key is None and record.value is None:
        # `send` accepts no record with neither key nor value, but Kafka does.
        batch = producer.create_batch()
        batch.append(timestamp=None, key=None, value=None, headers=headers)
        partition = min(partitions) if partition is None else partition
        return await producer.send_batch(batch, record.topic, partition=partition)
    return await producer.send(record.topic, record.value, key=record.key, partition=partition, headers=headers)


async def _close(connecting: asyncio.Task[AIOKafkaProducer]) -> None:
    """Stop a producer, even one that is still connecting."""
    if not connecting.done():
        connecting.cancel()
    try:
        producer = await connecting
        await producer.stop()
    except asyncio.CancelledError:
        if not connecting.cancelled():
            raise
    except (KafkaError, OSError) as error:
        log.debug("producer_closed_with_error", error=repr(error))
