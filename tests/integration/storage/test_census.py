"""The census on a real Postgres: it counts what the API shows, overrides and all."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.sweep import census
from service.runtime.settings import Settings
from service.storage.accounts import portfolio_counts
from service.storage.accounts.portfolio_counts import PortfolioCell
from tests.support.api import Api
from tests.support.scraped import value
from tests.support.sweeping import START, Clock, by_active_days, used

pytestmark = pytest.mark.anyio

DAYS = {"none": 0, "few": 3, "half": 10, "most": 17, "all": 20}
"""Days of use by account; 20 give 100 points. Red is below 40, yellow below 70."""
BY_HAND: dict[str, dict[str, Any]] = {
    "few": {"band": "green"},
    "most": {"score": 39.5},
    "all": {"score": 55.0, "band": "red"},
}


@pytest.fixture
async def clock(engine: AsyncEngine, database_settings: Settings, api: Api) -> Clock:
    clock = Clock(engine, database_settings)
    await clock.publish(by_active_days(20), START)
    await clock.reevaluate(START)
    uses = {name: [used(name, START - timedelta(days=day)) for day in range(days)] for name, days in DAYS.items()}
    await clock.fold(uses, START)
    api.clock.now = START
    return clock


async def cells(engine: AsyncEngine) -> list[PortfolioCell]:
    async with engine.begin() as connection:
        return await portfolio_counts.count(connection, 10_000)


async def test_it_counts_what_the_api_shows(clock: Clock, engine: AsyncEngine, api: Api) -> None:
    for name in DAYS:
        attributes = {"segment": "smb"} if name in ("few", "all") else {"stage": "live"} if name == "half" else {}
        async with engine.begin() as connection:
            await connection.exec_driver_sql(
                "INSERT INTO accounts (account_id, segment, stage) VALUES ($1, $2, $3) ON CONFLICT (account_id)"
                " DO UPDATE SET segment = excluded.segment, stage = excluded.stage",
                (name, attributes.get("segment"), attributes.get("stage")),
            )
    for name, by_hand in BY_HAND.items():
        answer = await api.put(
            f"/v1/accounts/{name}/health/override", {**by_hand, "reason": "I know better.", "author": "ann"}
        )
        assert answer.status == 200, answer.json
    expected: Counter[tuple[str, int | None]] = Counter()
    for name in DAYS:
        shown = (await api.get(f"/v1/accounts/{name}/health")).json
        override = shown["override"] or {}
        score = override["score"] if override.get("score") is not None else shown["score"]
        expected[band_of(shown), None if score is None else min(int(score // 10), 9)] += 1
    found: Counter[tuple[str, int | None]] = Counter()
    for cell in await cells(engine):
        found[cell.band, cell.tens] += cell.accounts
    assert found == expected
    assert sum(cell.accounts for cell in await cells(engine) if cell.segment == "smb") == 2
    assert sum(cell.accounts for cell in await cells(engine) if cell.stage == "live") == 1


def band_of(shown: Any) -> str:
    """The band that counts: one set by hand, or that of a score by hand, before the one that was computed."""
    override = shown["override"] or {}
    if override.get("band"):
        return str(override["band"])
    score = override.get("score")
    if score is None:
        return str(shown["band"])
    return "red" if score < 40 else "yellow" if score < 70 else "green"


async def test_it_shows_them_as_metrics_and_forgets_what_is_gone(clock: Clock, engine: AsyncEngine) -> None:
    assert await census.count_once(engine) < 10
    assert value("health_accounts", band="red", segment="none", stage="none") == 1
    assert value("health_accounts_by_score", points="90-100") == 1
    counted = value("health_accounts_counted_timestamp_seconds")
    assert counted
    async with engine.begin() as connection:
        await connection.exec_driver_sql("DELETE FROM scores WHERE band = 'red'")
    await census.count_once(engine)
    assert value("health_accounts", band="red", segment="none", stage="none") is None
    assert (value("health_accounts_counted_timestamp_seconds") or 0) > counted


async def test_sweeping_goes_on_where_counting_is_not_allowed(clock: Clock, engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.exec_driver_sql("DROP SCHEMA analytics CASCADE")
    assert await census.count_once(engine) < 10


async def test_it_gives_up_in_time_and_goes_on(clock: Clock, engine: AsyncEngine) -> None:
    async with engine.connect() as holder:
        await holder.exec_driver_sql("LOCK TABLE scores")
        assert await census.count_once(engine, timeout_ms=200) >= 0.2
    before = value("health_accounts_counted_timestamp_seconds") or 0.0
    await census.count_once(engine)
    assert (value("health_accounts_counted_timestamp_seconds") or 0) > before
