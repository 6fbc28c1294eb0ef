"""A source that goes silent: operators get one notice, its accounts' silence doesn't fire, and its end is noticed."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.sweep.runner import sweep_once
from scoring.scorecards.document import parse
from scoring.state.calendar import day_of, to_micros
from scoring.state.events import UsageEvent
from service.evaluation import sources
from service.evaluation.evaluate import Inputs, advance_accounts
from service.evaluation.policy import PolicyCache
from service.evaluation.sources import SourceWatch
from service.runtime.ids import new_id
from service.runtime.settings import Settings
from service.storage.policy import rules, scorecards
from service.storage.webhooks import endpoints
from service.storage.webhooks.endpoints import NewEndpoint
from tests.support.service import query

pytestmark = pytest.mark.anyio

MONDAY = date(2026, 3, 2)
WEEK = timedelta(days=7)
DAY = timedelta(days=1)
APP = [f"app-{number}" for number in range(40)]
SHOP = [f"shop-{number}" for number in range(40)]
BY_SILENCE = {
    "name": "default",
    "measures": [{"measure": "days_since_last_use", "weight": 1, "curve": [[1, 100], [14, 40], [30, 0]]}],
}


def moment(day: date, hour: int = 12) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


class World:
    """The service on days that the test goes through: used by day, and swept when the day has ended."""

    def __init__(self, engine: AsyncEngine, settings: Settings) -> None:
        self.engine = engine
        self.settings = settings
        self.policies = PolicyCache(settings.retention_days, lambda: 0.0)
        self.watch = SourceWatch(engine, settings.base_url)

    async def use(self, accounts: Iterable[str], source: str, at: datetime) -> None:
        micros = to_micros(at)
        day = day_of(micros)
        events = {name: [UsageEvent(name, micros, day, day, "login", 1, 1, source=source)] for name in accounts}
        async with self.engine.begin() as connection:
            policy = await self.policies.in_force(connection)
            await advance_accounts(connection, Inputs(events), policy, at, base_url="")

    async def sweep(self, now: datetime) -> None:
        """Check and sweep as the sweeper's loop does."""
        await self.watch.check(now)
        while await sweep_once(self.engine, self.policies, self.settings, now):
            pass

    async def day(self, day: date, *, app: Iterable[str] = APP, shop: Iterable[str] = SHOP) -> None:
        """One day: swept when it begins, then used."""
        await self.sweep(moment(day, 0))
        await self.use(app, "/app", moment(day))
        await self.use(shop, "/shop", moment(day))

    async def weeks(self, count: int = 3) -> date:
        """All accounts are used every day; returns the day after."""
        for past in range(count * 7):
            await self.day(MONDAY + past * DAY)
        return MONDAY + count * WEEK

    async def fired(self) -> list[tuple[str, str, str]]:
        """The alerts about accounts."""
        rows = await query(
            self.engine,
            "SELECT account_id, rule, state FROM alerts WHERE account_id IS NOT NULL ORDER BY account_id, sequence",
        )
        return [(row.account_id, row.rule, row.state) for row in rows]

    async def notices(self) -> list[Any]:
        """The notices about sources."""
        return [
            row.data
            for row in await query(
                self.engine,
                "SELECT a.data FROM alerts a JOIN deliveries d ON d.alert_id = a.id"
                " WHERE a.account_id IS NULL AND a.type = 'health.digest' AND a.state = 'digest' ORDER BY a.created_at",
            )
        ]


@pytest.fixture
async def world(engine: AsyncEngine, database_settings: Settings) -> World:
    silence = {"name": "Silent", "kind": "silence", "document": {"level": 3.0}}
    score = {"name": "At risk", "kind": "score", "document": {"direction": "below", "level": 60.0}}
    async with engine.begin() as connection:
        await scorecards.publish(connection, parse(BY_SILENCE, database_settings.retention_days))
        for rule in (silence, score):
            await rules.create(connection, {**rule, "id": new_id(), "enabled": True})
        hook = NewEndpoint(url="https://operators.test/hook", secret=b"sealed")
        await endpoints.create(connection, new_id(), hook, moment(MONDAY))
    return World(engine, database_settings.model_copy(update={"public_url": "https://health.test/"}))


def gauge() -> float | None:
    return REGISTRY.get_sample_value("health_quiet_sources")


async def test_one_silent_account_fires_on_the_right_day(world: World) -> None:
    """Three days after it was last used, with no outage anywhere."""
    today = await world.weeks()
    for past in range(6):
        await world.day(today + past * DAY, app=APP[1:])
        last_use = today - DAY
        silent = (today + past * DAY - last_use).days >= 3
        assert [each[0] for each in await world.fired() if each[1] == "Silent"] == (["app-0"] if silent else [])
    assert await world.notices() == []


async def test_while_a_source_is_quiet_nothing_fires_for_its_accounts(world: World) -> None:
    stop = await world.weeks()
    for past in range(20):
        await world.day(stop + past * DAY, app=[], shop=SHOP[1:])
        await world.sweep(moment(stop + past * DAY, 18))
    fired = await world.fired()
    assert {account for account, _, _ in fired} == {"shop-0"}
    assert {("shop-0", "Silent", "firing"), ("shop-0", "At risk", "firing")} <= set(fired)
    scores = await query(world.engine, "SELECT score, account_id FROM scores WHERE account_id IN ('app-0', 'shop-0')")
    assert scores[0].score == scores[1].score < 60, "the days of an outage count, but nothing is told of them"

    [notice] = await world.notices()
    assert notice["rule"] == "source quiet"
    assert notice["source"] == {
        "name": "/app",
        "began_on": str(stop),
        "ended_at": None,
        "accounts": 0,
        "usual": 40,
    }
    assert notice["url"] == "https://health.test/v1/sources"
    assert notice["account_id"] is None
    assert gauge() == 1


async def test_when_it_is_back_what_stays_silent_fires(world: World) -> None:
    stop = await world.weeks()
    back = stop + 4 * DAY
    for past in range(4):
        await world.day(stop + past * DAY, app=[])
    await world.sweep(moment(back, 0))
    await world.use(APP[1:20], "/app", moment(back, 8))
    await world.sweep(moment(back, 9))
    assert gauge() == 1, "19 of 40 is not enough"
    await world.use(APP[20:21], "/app", moment(back, 10))
    await world.use(SHOP, "/shop", moment(back, 10))
    await world.sweep(moment(back, 11))
    assert gauge() == 0
    assert [notice["rule"] for notice in await world.notices()] == ["source quiet", "source outage ended"]
    ended = (await world.notices())[1]["source"]
    assert (ended["name"], ended["accounts"], ended["usual"]) == ("/app", 20, 40)
    assert ended["ended_at"] == "2026-03-27T11:00:00Z"
    await world.use(APP[21:], "/app", moment(back, 20))
    assert await world.fired() == []

    await world.day(back + DAY, app=APP[1:])
    assert {(account, state) for account, rule, state in await world.fired() if rule == "Silent"} == {
        ("app-0", "firing")
    }
    assert {account for account, _, _ in await world.fired()} == {"app-0"}
    for past in range(2, 10):
        await world.day(back + past * DAY)
    assert len(await world.notices()) == 2
    assert ("app-0", "Silent", "resolved") in await world.fired()


async def test_it_is_over_when_the_day_that_has_ended_had_enough(world: World) -> None:
    """Accounts that returned in the last minute of the day, after the last check."""
    stop = await world.weeks()
    await world.day(stop, app=[])
    await world.sweep(moment(stop + DAY, 0))
    assert gauge() == 1
    await world.use(APP[1:], "/app", moment(stop + DAY, 23))
    await world.use(SHOP, "/shop", moment(stop + DAY, 23))
    await world.sweep(moment(stop + 2 * DAY, 0))
    assert gauge() == 0
    assert len(await world.notices()) == 2


async def test_an_operator_ends_it_and_it_isnt_noticed_again(world: World) -> None:
    stop = await world.weeks()
    await world.day(stop, app=[])
    await world.day(stop + DAY, app=[])
    async with world.engine.begin() as connection:
        now = moment(stop + DAY, 13)
        assert not await sources.end(connection, "/shop", now, "")
        assert await sources.end(connection, "/app", now, "https://health.test")
        assert not await sources.end(connection, "/app", now, "")
    await SourceWatch(world.engine, "").check(moment(stop + DAY, 14))  # a sweeper that is restarted
    for past in range(2, 5):
        await world.day(stop + past * DAY, app=[])
    assert [notice["source"]["accounts"] for notice in await world.notices()] == [0, None]
    assert gauge() == 0
    silent = {account for account, rule, _ in await world.fired() if rule == "Silent"}
    assert silent == set(APP), "they are silent, says the operator"


async def test_a_weekend_is_none(world: World) -> None:
    for past in range(28):
        weekend = past % 7 > 4
        await world.day(MONDAY + past * DAY, app=APP[:4] if weekend else APP)
    assert await world.notices() == [], "not even in the first week, as some come on a weekend"
    await world.sweep(moment(MONDAY + 4 * WEEK, 0))
    counts = await query(
        world.engine, "SELECT accounts FROM source_days WHERE source = '/app' AND accounts <> 40 ORDER BY day"
    )
    assert [row.accounts for row in counts] == [4] * 8


async def test_a_source_that_is_renamed_has_not_stopped(world: World) -> None:
    today = await world.weeks(2)
    for past in range(3):
        await world.sweep(moment(today + past * DAY, 0))
        await world.use(APP, "/app/v2", moment(today + past * DAY))
        await world.use(SHOP, "/shop", moment(today + past * DAY))
    await world.sweep(moment(today + 3 * DAY, 0))
    assert await world.notices() == []
    assert await query(world.engine, "SELECT 1 FROM source_outages") == []


async def test_several_sweepers_count_a_day_once(world: World) -> None:
    stop = await world.weeks(2)
    await world.day(stop, app=[])
    watches = [SourceWatch(world.engine, "") for _ in range(4)]
    await asyncio.gather(*(watch.check(moment(stop + DAY, 0)) for watch in watches))
    assert len(await world.notices()) == 1
    assert len(await query(world.engine, "SELECT 1 FROM source_days WHERE day = :day", day=stop)) == 2


async def test_a_sweeper_that_was_away_counts_the_day_before(world: World) -> None:
    """Later events show that its source continues, and days that nobody counted stay unknown."""
    stop = await world.weeks(2)
    await world.use(SHOP, "/shop", moment(stop))
    await world.use(APP, "/app", moment(stop + 3 * DAY, 1))
    world.watch = SourceWatch(world.engine, "")
    await world.sweep(moment(stop + 3 * DAY, 2))
    days = await query(world.engine, "SELECT source, accounts FROM source_days WHERE day > :day", day=stop)
    assert [tuple(row) for row in days] == [("/app", 40), ("/shop", 0)]
    assert [notice["source"]["name"] for notice in await world.notices()] == ["/shop"]


async def test_sources_of_few_accounts_arent_counted(world: World) -> None:
    await world.use(APP[:9], "/few", moment(MONDAY))
    await world.use(APP[9:19], "/enough", moment(MONDAY))
    await world.use(APP[19:], "", moment(MONDAY))
    await world.sweep(moment(MONDAY + DAY, 0))
    assert [tuple(row) for row in await query(world.engine, "SELECT source, accounts FROM source_days")] == [
        ("/enough", 10)
    ]


async def test_a_count_that_takes_too_long_doesnt_stop_the_sweeper(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await world.use(APP, "/app", moment(MONDAY))
    monkeypatch.setattr("service.evaluation.sources.TIMEOUT_MS", 200)
    async with world.engine.connect() as other:
        await other.execute(text("LOCK TABLE usage_states IN ACCESS EXCLUSIVE MODE"))
        await asyncio.wait_for(world.watch.check(moment(MONDAY + DAY, 0)), 5)
    await world.sweep(moment(MONDAY + DAY, 1))
    assert await query(world.engine, "SELECT 1 FROM source_days") == []
    assert [row.day for row in await query(world.engine, "SELECT DISTINCT day FROM scores")] == [MONDAY + DAY]
