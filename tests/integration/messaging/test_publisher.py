"""The publisher lives on while Kafka is away: it says so soon, and is well again as soon as Kafka is."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaConnectionError, KafkaError
from prometheus_client import REGISTRY

from service.embedded.broker import EmbeddedBroker
from service.embedded.ports import free_port
from service.messaging import kafka_availability, producer
from service.messaging import publisher as publishing
from service.messaging.kafka_availability import KafkaAvailability
from service.messaging.producer import ProducerOptions
from service.messaging.publisher import NotPublishedError, Publisher
from service.observability import metrics
from service.runtime.settings import Settings
from tests.support.service import settings_for
from tests.support.topics import create_topics

pytestmark = pytest.mark.anyio


def settings_at(port: int) -> Settings:
    return settings_for("postgresql://unused", f"127.0.0.1:{port}", "")


@pytest.fixture
async def silent_port() -> AsyncIterator[int]:
    """A port that takes connections and never answers."""

    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(ignore, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def test_a_refused_connection_is_reported_at_once() -> None:
    publisher = Publisher(settings_at(free_port()))
    await publisher.start()
    started = time.monotonic()
    for _ in range(3):
        with pytest.raises(NotPublishedError):
            await publisher.publish([("usage-events", "acme", b"{}")])
    await publisher.stop()
    assert time.monotonic() - started < 2


async def test_silence_is_reported_in_time(silent_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "PATIENCE_SECONDS", 0.3)
    publisher = Publisher(settings_at(silent_port))
    started = time.monotonic()
    calls = [publisher.publish([("usage-events", "acme", b"{}")]) for _ in range(5)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [NotPublishedError] * 5
    with pytest.raises(NotPublishedError):
        await publisher.publish([("usage-events", "acme", b"{}")])
    await publisher.stop()
    assert time.monotonic() - started < 2


async def test_a_start_that_failed_is_forgotten(
    bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = f"{topic_prefix}topic"
    await create_topics(bootstrap, topic)
    connect, failed = producer.connect, list[Settings]()

    async def connect_at_the_second_try(settings: Settings, options: ProducerOptions) -> AIOKafkaProducer:
        if not failed:
            failed.append(settings)
            raise KafkaConnectionError("not yet")
        return await connect(settings, options)

    monkeypatch.setattr(publishing, "connect", connect_at_the_second_try)
    publisher = Publisher(settings_for("postgresql://unused", bootstrap, topic_prefix))
    await publisher.start()
    while not failed:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    await publisher.publish([(topic, "acme", b"1")])
    await publisher.stop()


async def test_a_topic_that_isn_t_there(bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "PATIENCE_SECONDS", 0.5)
    await create_topics(bootstrap, f"{topic_prefix}there")
    publisher = Publisher(settings_for("postgresql://unused", bootstrap, topic_prefix))
    with pytest.raises(NotPublishedError):
        await publisher.publish([(f"{topic_prefix}not-there", "acme", b"{}")])
    monkeypatch.setattr(publishing, "PATIENCE_SECONDS", 5.0)
    await publisher.publish([(f"{topic_prefix}there", "acme", b"{}")])
    await publisher.stop()


async def test_after_a_fatal_error_there_is_a_new_producer(
    bootstrap: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = f"{topic_prefix}topic"
    await create_topics(bootstrap, topic)
    publisher = Publisher(settings_for("postgresql://unused", bootstrap, topic_prefix))
    await publisher.publish([(topic, "acme", b"1")])
    send, fenced = AIOKafkaProducer.send, list[AIOKafkaProducer]()

    async def fail_for_good(producer: AIOKafkaProducer, *arguments: object, **options: object) -> object:
        fenced.append(producer)
        if producer is fenced[0]:
            raise KafkaError("the producer is fenced")
        return await send(producer, *arguments, **options)

    monkeypatch.setattr(AIOKafkaProducer, "send", fail_for_good)
    with pytest.raises(NotPublishedError, match="fenced"):
        await publisher.publish([(topic, "acme", b"2")])
    await publisher.publish([(topic, "acme", b"3")])
    await publisher.stop()


async def test_outages_are_reported_and_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publishing, "PATIENCE_SECONDS", 1.0)
    port = free_port()
    publisher = Publisher(settings_at(port))
    await publisher.start()
    with pytest.raises(NotPublishedError):
        await publisher.publish([("usage-events", "acme", b"before")])
    for round_number in range(2):
        with EmbeddedBroker(tmp_path, port):
            if round_number == 0:
                await create_topics(f"127.0.0.1:{port}", "usage-events")
            await _eventually_published(publisher)
        started = time.monotonic()
        with pytest.raises(NotPublishedError):
            await publisher.publish([("usage-events", "acme", b"meanwhile")])
        assert time.monotonic() - started < publishing.PATIENCE_SECONDS + 1
    await publisher.stop()


async def test_that_kafka_is_back_is_noticed_without_anything_to_publish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "PROBE_SECONDS", 0.3)
    port = free_port()
    publisher = Publisher(settings_at(port))
    await publisher.start()

    async def is_up(wanted: float) -> None:
        async with asyncio.timeout(20):
            while REGISTRY.get_sample_value("health_dependency_up", {"dependency": "kafka"}) != wanted:
                await asyncio.sleep(0.05)

    metrics.DEPENDENCY_UP.labels("kafka").set(1)
    await is_up(0)
    with EmbeddedBroker(tmp_path, port):
        await is_up(1)
    await publisher.stop()


async def test_a_failure_that_is_reported_late_does_not_undo_a_later_success(monkeypatch: pytest.MonkeyPatch) -> None:
    availability = KafkaAvailability(settings_at(free_port()))

    async def slowly(*_: object) -> None:
        await asyncio.sleep(0.2)

    monkeypatch.setattr(kafka_availability, "why_refused", slowly)
    telling = asyncio.create_task(availability.record_failure(KafkaConnectionError("away")))
    await asyncio.sleep(0.05)
    availability.record_success()
    await telling
    assert availability.trouble == ""


async def _eventually_published(publisher: Publisher) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await publisher.publish([("usage-events", "acme", b"{}")])
            except NotPublishedError:
                await asyncio.sleep(0.1)
            else:
                return
