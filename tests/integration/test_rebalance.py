"""Rebalances and long batches: neither may hold up the other."""

import json
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers import ownership
from scoring.state import decode
from service.settings import Settings
from tests.support.cloud_events import produce, record, usage
from tests.support.service import consuming, eventually, folded_up_to, query

pytestmark = pytest.mark.anyio


async def test_a_rebalance_does_not_wait_for_ever_for_a_batch_that_hangs(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownership, "DRAIN_SECONDS", 1.0)
    topic = settings.topic_usage
    async with consuming(settings):
        await produce(settings.kafka_bootstrap_servers, [record(topic, usage("acme"))])
        await folded_up_to(engine, 1)
        before = await epochs(engine)
        async with engine.begin() as holding:
            await holding.execute(text("SELECT 1 FROM scores WHERE account_id = 'acme' FOR UPDATE"))
            await produce(settings.kafka_bootstrap_servers, [record(topic, usage("acme"))])
            await eventually(lambda: waits_for_a_lock(engine), "the batch hangs")
            async with consuming(settings):

                async def claimed_again() -> bool:
                    now = await epochs(engine)
                    return len(now) == len(before) and all(now[each] > before[each] for each in before)

                await eventually(claimed_again, "the partitions are claimed anew, by both", 20)
                await holding.rollback()
                await folded_up_to(engine, 2)
    stored = (await query(engine, "SELECT state FROM usage_states"))[0].state
    assert sum(decode(stored, None, None, None).usage.days.values()) == 2


async def epochs(engine: AsyncEngine) -> dict[tuple[str, int], int]:
    rows = await query(engine, "SELECT topic, partition, epoch FROM progress")
    return {(row.topic, row.partition): row.epoch for row in rows}


async def waits_for_a_lock(engine: AsyncEngine) -> bool:
    rows = await query(
        engine,
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        " AND application_name = 'account-health consume'",
    )
    return bool(rows)


async def test_the_group_keeps_a_member_that_folds_a_long_batch(settings: Settings, engine: AsyncEngine) -> None:
    """A batch of some seconds of work, and a group that forgets who is silent for one."""
    count, accounts = 60_000, 20_000
    now = datetime.now(UTC).isoformat()
    head = f'{{"specversion":"1.0","source":"/tests","type":"usage.recorded","time":"{now}"'
    records = [
        (
            settings.topic_usage,
            account.encode(),
            f'{head},"id":"{number}","subject":"{account}","data":{json.dumps({"feature": "login"})}}}'.encode(),
        )
        for number, account in ((number, f"account-{number % accounts}") for number in range(count))
    ]
    await produce(settings.kafka_bootstrap_servers, records)
    async with consuming(settings.model_copy(update={"kafka_session_seconds": 1.0})):
        await folded_up_to(engine, count, 60)
    assert set((await epochs(engine)).values()) == {1}, "no partition changed hands"
