"""A defect in what aiokafka does behind a consumer: the process ends, to be started again, instead of idling on."""

import asyncio
from typing import Any

import pytest
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.consumer.group_coordinator import GroupCoordinator
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers import runner
from service.errors import HealthError
from service.settings import Settings
from tests.support.cloud_events import produce, record, usage
from tests.support.service import consuming, folded_up_to

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("owner", "method"), [(GroupCoordinator, "_maybe_do_autocommit"), (Fetcher, "_get_actions_per_node")]
)
async def test_a_consumer_whose_client_has_failed_ends_and_another_goes_on(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch, owner: type, method: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("a defect")

    await produce(settings.kafka_bootstrap_servers, [record(settings.topic_usage, usage("acme"))])
    with monkeypatch.context() as broken:
        broken.setattr(owner, method, fail)
        with pytest.raises(HealthError, match=r"The Kafka client has failed: .*Start the process again"):
            await asyncio.wait_for(runner.run(settings, asyncio.Event()), 30)
    async with consuming(settings):
        await folded_up_to(engine, 1)
