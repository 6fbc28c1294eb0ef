"""aiokafka's work in the background of a consumer, where it fails, and where it would wait for minutes."""

import asyncio
import time
from typing import Any

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.fold import runner
from service.runtime.errors import HealthError
from service.runtime.settings import Settings
from tests.support.cloud_events import produce, record, usage
from tests.support.service import consuming, folded_up_to

pytestmark = pytest.mark.anyio

AWAY_SECONDS = 3.0


@pytest.mark.parametrize(
    ("owner", "method"),
    [
        (GroupCoordinator, "_maybe_do_autocommit"),
        (Fetcher, "_get_actions_per_node"),
        (ClusterMetadata, "update_metadata"),
    ],
)
async def test_a_consumer_whose_client_has_failed_ends_and_another_goes_on(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, owner: type, method: str
) -> None:
    work = getattr(owner, method)

    def fail(self: Any, *arguments: Any) -> Any:
        if owner is ClusterMetadata and "_md_synchronizer" not in str(asyncio.current_task()):
            return work(self, *arguments)
        raise RuntimeError("a defect")

    await produce(settings.kafka_bootstrap_servers, [record(settings.topic_usage, usage("acme"))])
    with monkeypatch.context() as broken:
        broken.setattr(owner, method, fail)
        with pytest.raises(HealthError, match=r"The Kafka client has failed: .*Restart the process"):
            await asyncio.wait_for(runner.run(settings, asyncio.Event()), 30)
    async with consuming(settings):
        await folded_up_to(engine, 1)


async def test_a_consumer_that_learns_of_no_partitions_when_it_begins_asks_again(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Simulates a broker that goes away after a consumer has connected, which then joins without metadata."""
    await produce(settings.kafka_bootstrap_servers, [record(settings.topic_usage, usage("acme"))])
    began, ask = time.monotonic(), AIOKafkaClient._metadata_update

    async def at_first_in_vain(self: AIOKafkaClient, cluster: Any, topics: Any) -> bool:
        if topics and time.monotonic() - began < AWAY_SECONDS:
            return False
        answered: bool = await ask(self, cluster, topics)
        return answered

    monkeypatch.setattr(runner, "METADATA_SECONDS", 1.0)
    monkeypatch.setattr(AIOKafkaClient, "_metadata_update", at_first_in_vain)
    async with consuming(settings):
        await folded_up_to(engine, 1)
