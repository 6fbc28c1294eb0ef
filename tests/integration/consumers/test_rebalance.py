"""Rebalances and long batches: neither may hold up the other."""

import asyncio
import time
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.fold import ownership, runner
from scoring.state import account_state
from scoring.state.account_state import decode
from scoring.state.calendar import day_of, to_micros
from scoring.state.events import Event, UsageEvent
from scoring.state.usage import UsageState, fold_usage
from scoring.state.usage_batch import Arrivals
from service.evaluation.evaluate import Inputs, advance_accounts
from service.evaluation.policy import load_policy
from service.runtime.garbage_collection import gc_by_hand
from service.runtime.settings import Settings
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


async def gaps_while_advancing(settings: Settings, engine: AsyncEngine, accounts: int) -> list[float]:
    """The processor seconds between turns of the event loop while a number of accounts are advanced by an event each.

    Processor time, as other processes may keep this one waiting.
    """
    now = datetime.now(UTC)
    micros = to_micros(now)
    today = day_of(micros)
    events: dict[str, list[Event]] = {
        name: [UsageEvent(name, micros, today, today, "login", None, 1)]
        for name in (f"account-{number}" for number in range(accounts))
    }
    gaps: list[float] = []

    async def tick() -> None:
        last = time.process_time()
        while True:
            await asyncio.sleep(0.001)
            gaps.append(time.process_time() - last)
            last = time.process_time()

    ticking = asyncio.create_task(tick())
    async with engine.begin() as connection:
        policy = await load_policy(connection, settings.retention_days)
        await advance_accounts(connection, Inputs(events), policy, now, base_url="")
    ticking.cancel()
    return gaps


async def test_heartbeats_go_out_during_a_long_batch(settings: Settings, engine: AsyncEngine) -> None:
    """Work of a second and more leaves the event loop to others again and again."""
    with gc_by_hand():  # as the consumer does; what other tests have left would take long to look through
        gaps = await gaps_while_advancing(settings, engine, accounts=30_000)
    assert len(gaps) > 100
    assert max(gaps) < 0.3


def slow_fold(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Make the fold of each account take this long, during which nothing else in its thread runs."""

    def slowly(usage: UsageState, arrived: Arrivals, retention: int) -> None:
        time.sleep(seconds)
        fold_usage(usage, arrived, retention)

    monkeypatch.setattr(account_state, "fold_usage", slowly)


async def test_heartbeats_go_out_during_a_slow_fold(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow_fold(monkeypatch, 0.02)
    gaps = await gaps_while_advancing(settings, engine, accounts=300)
    assert sum(gap > 0.3 for gap in gaps) <= 1, "only the first few may be waited for: it is how they are found out"


async def test_a_batch_that_is_given_up_again_and_again_comes_back_smaller(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All records at once would take 40 seconds, and every few seconds there is a rebalance that waits for a batch."""
    monkeypatch.setattr(ownership, "DRAIN_SECONDS", 1.0)
    slow_fold(monkeypatch, 0.02)
    records = [record(settings.topic_usage, usage(f"account-{number}")) for number in range(2_000)]
    await produce(settings.kafka_bootstrap_servers, records)

    async def folded() -> bool:
        return int((await query(engine, "SELECT coalesce(sum(next_offset), 0) FROM progress"))[0][0]) >= 100

    async def others_come_and_go() -> None:
        while True:
            other = asyncio.create_task(runner.run(settings, asyncio.Event()))
            try:
                await asyncio.sleep(2)
            finally:
                other.cancel()  # it isn't let end its batch
                await asyncio.wait({other})
            await asyncio.sleep(1)

    async with consuming(settings):
        coming = asyncio.create_task(others_come_and_go())
        try:
            await eventually(folded, "some are folded", 90)
        finally:
            coming.cancel()
            await asyncio.wait({coming})
