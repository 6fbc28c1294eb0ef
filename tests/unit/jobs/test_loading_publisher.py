"""Waiting for Kafka's confirmation, without a Kafka."""

import asyncio
from collections.abc import Callable

import pytest
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
)

from service.jobs.load import batch_producer
from service.jobs.load.batch_producer import MOST_BATCH_BYTES, BatchProducer, _batch_bytes
from service.jobs.load.kafka_cluster import KafkaCluster
from service.runtime.errors import HealthError
from service.runtime.settings import Settings

pytestmark = pytest.mark.anyio

AT_KAFKA = Settings(_env_file=None, kafka_bootstrap_servers="kafka:9092")


@pytest.fixture
async def unconnected() -> BatchProducer:
    return BatchProducer(None, KafkaCluster(AT_KAFKA), AT_KAFKA)


def receipts(count: int) -> list[asyncio.Future[object]]:
    loop = asyncio.get_running_loop()
    return [loop.create_future() for _ in range(count)]


async def test_confirmation_comes_with_the_last_receipt(unconnected: BatchProducer) -> None:
    waiting = receipts(3)
    confirming = asyncio.create_task(unconnected.confirm(waiting))
    for receipt in waiting:
        await asyncio.sleep(0.01)
        assert not confirming.done()
        receipt.set_result(None)
    await confirming


async def test_no_receipt_is_nothing_to_wait_for(unconnected: BatchProducer) -> None:
    await unconnected.confirm([])


async def test_one_refused_batch_is_a_failure_at_once(unconnected: BatchProducer) -> None:
    first, second, waiting = receipts(3)
    first.set_result(None)
    second.set_exception(NotLeaderForPartitionError())
    with pytest.raises(HealthError, match=r"Kafka at kafka:9092 answered with an error: .*NotLeader"):
        async with asyncio.timeout(1):
            await unconnected.confirm([first, second, waiting])


async def test_a_kafka_that_confirms_slowly_is_waited_for_and_one_that_stopped_is_not(
    unconnected: BatchProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_producer, "PATIENCE_SECONDS", 0.2)
    waiting = receipts(6)
    confirming = asyncio.create_task(unconnected.confirm(waiting))
    for receipt in waiting[:5]:
        await asyncio.sleep(0.1)
        receipt.set_result(None)
    assert not confirming.done()
    with pytest.raises(HealthError, match="Kafka at kafka:9092 has stopped answering"):
        await confirming


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KafkaConnectionError, "can't be reached. Check HEALTH_KAFKA_BOOTSTRAP_SERVERS"),
        (lambda: ValueError("no port"), "can't be reached. Check HEALTH_KAFKA_BOOTSTRAP_SERVERS"),
        (KafkaTimeoutError, "has stopped answering"),
        (MessageSizeTooLargeError, "Raise max.message.bytes"),
    ],
)
async def test_errors_say_what_to_do(error: Callable[[], Exception], message: str) -> None:
    told = str(KafkaCluster(AT_KAFKA).to_operator_error(error()))
    assert told.startswith("Kafka at kafka:9092 ")
    assert message in told


async def test_a_request_stays_below_what_brokers_take() -> None:
    assert _batch_bytes(12) == MOST_BATCH_BYTES
    assert all(partitions * _batch_bytes(partitions) <= 100_000_000 for partitions in (1, 64, 65, 500, 2000))
