"""The facts that stay the same from the firing of a rule to its end, even if rule and account change meanwhile."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.runtime.settings import Settings
from tests.support.service import query
from tests.support.sweeping import START, Clock, by_active_days, used

pytestmark = pytest.mark.anyio


@pytest.fixture
async def clock(engine: AsyncEngine, database_settings: Settings) -> Clock:
    clock = Clock(engine, database_settings)
    await clock.publish(by_active_days(10), START)
    await clock.reevaluate(START)
    return clock


async def alerts(engine: AsyncEngine) -> list[Any]:
    return list(
        await query(engine, "SELECT id, rule, state, data FROM alerts WHERE account_id IS NOT NULL ORDER BY sequence")
    )


async def recover(clock: Clock) -> datetime:
    """Use on ten days, from the day after the start on."""
    for day in range(1, 10):
        now = START + timedelta(days=day)
        await clock.fold({"acme": [used("acme", now)]}, now)
    return now


async def test_the_end_says_how_it_began_though_the_rule_has_another_name_by_then(
    clock: Clock, engine: AsyncEngine
) -> None:
    rule = await clock.add_rule("At risk", "score", direction="below", level=40.0, clear_level=70.0)
    await clock.fold({"acme": [used("acme", START)]}, START)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alert_rules SET name = 'Renamed', updated_at = now()"))
    await recover(clock)
    fired, over = await alerts(engine)
    assert (fired.rule, fired.state, over.rule, over.state) == ("At risk", "firing", "Renamed", "resolved")
    assert fired.data["episode"] == over.data["episode"]
    assert fired.data["episode"] == {
        "id": str(fired.id),
        "began_at": "2026-03-02T12:00:00Z",
        "rule": "At risk",
        "rule_id": str(rule),
        "band": "red",
    }
    assert over.data["band"] == "green"


async def test_an_episode_ends_as_it_began_when_its_rule_is_deleted(clock: Clock, engine: AsyncEngine) -> None:
    rule = await clock.add_rule("At risk", "score", direction="below", level=40.0)
    await clock.fold({"acme": [used("acme", START)]}, START)
    later = START + timedelta(hours=3)
    await clock.remove_rule(rule, later)
    await clock.reevaluate(later)
    fired, over = await alerts(engine)
    assert (over.state, over.data["episode"]) == ("resolved", fired.data["episode"])


async def test_what_an_earlier_version_began_is_ended_without_the_name_that_it_did_not_give(
    clock: Clock, engine: AsyncEngine
) -> None:
    await clock.add_rule("At risk", "score", direction="below", level=40.0)
    await clock.fold({"acme": [used("acme", START)]}, START)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE alerts SET data = CAST(CAST(data AS jsonb) - 'episode' AS json)"))
    await recover(clock)
    fired, over = await alerts(engine)
    assert over.data["episode"] == {
        "id": str(fired.id),
        "began_at": "2026-03-02T12:00:00Z",
        "rule": "At risk",
        "rule_id": None,
        "band": "red",
    }
    async with engine.begin() as connection:
        await connection.execute(text("DELETE FROM alerts"))
    await clock.sweep(later := START + timedelta(days=60))
    await clock.fold({"acme": [used("acme", later - timedelta(days=day)) for day in range(9)]}, later)
    alone = (await alerts(engine))[-1]
    assert (alone.state, alone.data["episode"]["began_at"]) == ("resolved", "2026-05-01T12:00:00Z")
