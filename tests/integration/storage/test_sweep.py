"""Time alone moves scores: silence is noticed, alerted once, and resolved when the account comes back."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.sweep.runner import sweep_once
from service.runtime.ids import new_id
from service.runtime.settings import Settings
from service.storage.alerts import alerts as stored_alerts
from service.storage.webhooks import endpoints
from service.storage.webhooks.endpoints import NewEndpoint
from tests.support.service import query
from tests.support.sweeping import START, Clock, by_active_days, used

pytestmark = pytest.mark.anyio


@pytest.fixture
async def clock(engine: AsyncEngine, database_settings: Settings) -> Clock:
    clock = Clock(engine, database_settings.model_copy(update={"public_url": "https://health.test/"}))
    await clock.add_rule("At risk", "score", direction="below", level=40.0, clear_level=45.0)
    async with engine.begin() as connection:
        await endpoints.create(connection, new_id(), NewEndpoint(url="https://crm.test/hook", secret=b"sealed"), START)
    return clock


async def active_account(clock: Clock, account_id: str = "acme", days: int = 30) -> datetime:
    """An account that was used every day; returns its last day."""
    for day in range(days):
        now = START + timedelta(days=day)
        await clock.fold({account_id: [used(account_id, now, f"feature-{n}") for n in range(20)]}, now)
    return START + timedelta(days=days - 1)


async def alerts(engine: AsyncEngine) -> list[Any]:
    return [row.data for row in await query(engine, "SELECT data FROM alerts ORDER BY sequence")]


async def test_silence_alone_crosses_a_threshold_once(clock: Clock, engine: AsyncEngine) -> None:
    last = await active_account(clock)
    healthy = (await query(engine, "SELECT score, band FROM scores"))[0]
    assert healthy.band == "green"
    scores = []
    for day in range(1, 45):
        now = last + timedelta(days=day)
        assert await clock.sweep(now) == 1
        assert await clock.sweep(now) == 0
        scores.append((await query(engine, "SELECT score FROM scores"))[0].score)
    assert scores[-1] < 40 < scores[0] <= healthy.score
    assert max(scores) <= healthy.score

    fired = await alerts(engine)
    assert len(fired) == 1
    crossing = next(number for number, score in enumerate(scores) if score < 40)
    alert = fired[0]
    assert (alert["rule"], alert["state"], alert["threshold"], alert["sequence"]) == ("At risk", "firing", 40, 1)
    assert (alert["score"], alert["previous_score"]) == (scores[crossing], scores[crossing - 1])
    assert alert["band"] == "red"
    assert alert["url"] == "https://health.test/v1/accounts/acme/health"
    assert 1 <= len(alert["drivers"]) <= 3
    assert all(driver["delta"] < 0 for driver in alert["drivers"][:1])
    assert len(await query(engine, "SELECT 1 FROM deliveries WHERE state = 'pending'")) == 1

    back = last + timedelta(days=45)
    for day in range(12):
        now = back + timedelta(days=day)
        await clock.fold({"acme": [used("acme", now, f"feature-{n}") for n in range(5)]}, now)
    assert [(alert["state"], alert["sequence"]) for alert in await alerts(engine)] == [("firing", 1), ("resolved", 2)]
    assert len(await query(engine, "SELECT 1 FROM deliveries")) == 2


async def test_a_sweep_is_due_at_the_next_midnight(clock: Clock, engine: AsyncEngine) -> None:
    last = await active_account(clock, days=3)
    due = (await query(engine, "SELECT due_at FROM scores"))[0].due_at
    assert due == datetime(2026, 3, 5, tzinfo=UTC)
    assert await clock.sweep(due - timedelta(microseconds=1)) == 0
    assert await clock.sweep(due) == 1
    assert last < due


async def test_a_dwell_is_due_on_time(clock: Clock, engine: AsyncEngine) -> None:
    await clock.add_rule("Recovered", "score", direction="above", level=45.0, for_seconds=600)
    await clock.fold({"acme": [used("acme", START, f"feature-{n}") for n in range(8)]}, START)
    assert await clock.sweep(START + timedelta(seconds=599)) == 0
    assert await alerts(engine) == []
    assert await clock.sweep(START + timedelta(seconds=600)) == 1
    assert [alert["rule"] for alert in await alerts(engine)] == ["Recovered"]


async def test_several_sweepers_share_the_work(clock: Clock, engine: AsyncEngine) -> None:
    now = START
    accounts = [f"account-{number}" for number in range(500)]
    await clock.fold({account_id: [used(account_id, now)] for account_id in accounts}, now)
    small = clock.settings.model_copy(update={"sweep_batch": 40})

    async def sweep() -> int:
        swept = 0
        while count := await sweep_once(engine, clock.policies, small, now + timedelta(days=1)):
            swept += count
        return swept

    shares = await asyncio.gather(*(sweep() for _ in range(4)))
    assert sum(shares) == 500
    assert all(shares)
    days = await query(engine, "SELECT DISTINCT day FROM scores")
    assert [row.day for row in days] == [(START + timedelta(days=1)).date()]


async def test_loaded_history_notifies_nobody(clock: Clock, engine: AsyncEngine) -> None:
    """An account that history leaves below the threshold fires, but quietly."""
    old = START - timedelta(days=60)
    history = {"acme": [used("acme", old + timedelta(days=day)) for day in range(5)]}
    await clock.fold(history, START, backfill={"acme"})
    assert [row.quiet for row in await query(engine, "SELECT quiet FROM alerts")] == [True]
    assert await query(engine, "SELECT 1 FROM deliveries") == []


async def test_a_new_scorecard_waits_for_those_who_judge_by_the_old(clock: Clock, engine: AsyncEngine) -> None:
    """No batch that began before a publication still uses the old scorecard when accounts are evaluated again."""
    last = await active_account(clock, days=2)
    async with engine.connect() as judging:
        await clock.policies.in_force(judging)
        publishing = asyncio.create_task(clock.publish(by_active_days(10), last))
        await asyncio.sleep(0.3)
        assert not publishing.done()
        await judging.commit()
        await asyncio.wait_for(publishing, 5)
    assert await clock.reevaluate(last) == 1
    assert (await query(engine, "SELECT scorecard_version, score FROM scores"))[0] == (2, 20.0)


async def test_a_rule_that_is_gone_fires_no_more_and_says_so(clock: Clock, engine: AsyncEngine) -> None:
    last = await active_account(clock)
    for day in range(1, 45):
        await clock.sweep(last + timedelta(days=day))
    now = last + timedelta(days=44)
    async with engine.begin() as connection:
        (firing,) = await stored_alerts.firing(connection, "acme")
    await clock.remove_rule(firing["rule_id"], now)
    async with engine.begin() as connection:
        assert await stored_alerts.firing(connection, "acme") == []
    assert await clock.reevaluate(now) == 1
    told = await alerts(engine)
    about_account = [("At risk", "firing"), ("At risk", "resolved")]
    # Summed up for people; a receiver of the single beginning gets the single end.
    assert [(alert["rule"], alert["state"]) for alert in told] == [*about_account, ("digest of a rule", "digest")]
    delivered = "SELECT alerts.state FROM deliveries JOIN alerts ON alerts.id = alert_id ORDER BY sequence"
    assert [row.state for row in await query(engine, delivered)] == ["firing", "resolved"]
    await clock.sweep(last + timedelta(days=46))
    assert len(await alerts(engine)) == 3
