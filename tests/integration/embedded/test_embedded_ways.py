"""Allowances for the embedded broker: pauses between polls, and repair after a crash."""

import asyncio
import time
from datetime import UTC, datetime

import numpy as np
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.fold import runner
from scoring.state.account_state import decode
from service.demo.feed.broker_log import folded_offsets, skip_lost_log
from service.runtime.settings import Settings
from service.storage.ingest import progress, seen_events
from service.storage.ingest.seen_events import SegmentRow
from tests.support.cloud_events import produce, record, usage
from tests.support.service import consuming, folded_up_to, query

pytestmark = pytest.mark.anyio


async def counted(engine: AsyncEngine) -> int:
    [row] = await query(engine, "SELECT state FROM usage_states")
    return sum(decode(row.state, None, None, None).usage.days.values())


async def test_a_consumer_that_pauses_folds_what_comes_meanwhile(settings: Settings, engine: AsyncEngine) -> None:
    pausing = settings.model_copy(update={"kafka_idle_seconds": 0.05, "kafka_instance_id": "one"})
    async with consuming(pausing):
        for number in range(1, 11):
            await produce(settings.kafka_bootstrap_servers, [record(settings.topic_usage, usage("acme"))])
            await folded_up_to(engine, number)
    assert await counted(engine) == 10


async def test_a_consumer_stops_in_the_middle_of_a_rebalance(settings: Settings) -> None:
    """The consumer's poll waits for the rebalance, which waits for a member that doesn't answer."""
    stop, other = asyncio.Event(), asyncio.Event()
    consumers = [asyncio.create_task(runner.run(settings, event)) for event in (other, stop)]
    try:
        await asyncio.sleep(0.3)
        began = time.monotonic()
        stop.set()
        await asyncio.wait_for(consumers[1], 15)
        assert time.monotonic() - began < runner.LEAVE_SECONDS + 5
    finally:
        other.set()
        await asyncio.gather(*consumers)


async def test_after_the_broker_lost_records_the_demo_folds_on_at_its_end(
    settings: Settings, engine: AsyncEngine
) -> None:
    once = usage("acme")
    async with consuming(settings):
        await produce(settings.kafka_bootstrap_servers, [record(settings.topic_usage, once)])
        await folded_up_to(engine, 1)
    [partition] = [partition for partition, offset in (await folded_offsets(engine)).items() if offset]
    lost = np.array([7, 5], dtype=np.uint64)
    async with engine.begin() as connection:
        await progress.reset(connection, {partition: 3})
        row = SegmentRow(*partition, 2, datetime.now(UTC), lost.tobytes())
        await seen_events.replace(connection, [], [row])

    await skip_lost_log(settings, engine)
    assert (await folded_offsets(engine))[partition] == 1
    async with engine.connect() as connection:
        [kept] = await seen_events.load(connection, [partition])
    hashes = np.frombuffer(kept.hashes, dtype=np.uint64)
    assert kept.last_offset == 0
    assert len(hashes) == 3
    assert list(hashes) == sorted(hashes)
    assert {5, 7} <= set(hashes.tolist())

    async with consuming(settings):
        await produce(
            settings.kafka_bootstrap_servers,
            [record(settings.topic_usage, once), *(record(settings.topic_usage, usage("acme")) for _ in range(2))],
        )
        await folded_up_to(engine, 4)
    assert await counted(engine) == 3


async def test_a_log_that_is_whole_is_left_alone(settings: Settings, engine: AsyncEngine) -> None:
    await skip_lost_log(settings, engine)
    async with consuming(settings):
        await produce(settings.kafka_bootstrap_servers, [record(settings.topic_usage, usage("acme"))])
        await folded_up_to(engine, 1)
    before = await folded_offsets(engine)
    await skip_lost_log(settings, engine)
    assert await folded_offsets(engine) == before
