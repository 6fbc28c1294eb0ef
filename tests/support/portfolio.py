"""Customers with some months of history that ends now, and the API's answers about them: analysts must see the same.

They are made once for all tests; each test has a copy of them in a database of its own.
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

import pytest

from scoring.state.calendar import from_micros, to_day
from scoring.state.events import Event
from service.evaluation.policy import publish_default
from service.storage.database.engine import create_engine
from tests.support.api import Api, make_key, running
from tests.support.population import customers
from tests.support.postgres import PostgresServer
from tests.support.service import settings_for
from tests.support.sweeping import Clock, by_active_days

ACCOUNTS, DAYS, SEED = 24, 130, 1
LIVED = 50
"""The last days are evaluated day by day; earlier events are folded at once."""
DEFAULT_BANDS = {"yellow": 40, "green": 70}
ENTERPRISE_BANDS = {"red": 0, "yellow": 30, "green": 61.5}

CALIBRATION = {
    "calibrated_on": "2026-03-01",
    "source": "customers.ndjson",
    "first_day": "2026-01-01",
    "last_day": "2026-02-28",
    "lead_days": 3,
    "decisions": 700,
    "churned": 70,
    "probabilities": [[10, 0.37], [33.3, 0.21], [50, 0.1], [91.7, 0.013]],
}
"""Of the scorecard for the segment enterprise."""


class Portfolio:
    """Customers in a test's own database, and the API over it. Their months end at `now`, which is the real time."""

    def __init__(self, database_url: str, api: Api, clock: Clock, now: datetime) -> None:
        self.database_url = database_url
        self.api = api
        self.now = now
        self._clock = clock
        self._random = Random(SEED)

    @property
    def first_day(self) -> date:
        """The first day of the customers."""
        return self.now.date() - timedelta(days=DAYS)

    async def live(self) -> None:
        """The customers' life: events, a scorecard for some, overrides set, deleted and expired."""
        await self._clock.add_rule("At risk", "score", direction="below", level=55.0, clear_level=65.0)
        await self._clock.add_rule("Red", "band", to=["red"])
        await self._publish_another()
        folds: defaultdict[date, defaultdict[str, list[Event]]] = defaultdict(lambda: defaultdict(list))
        begin = self.now.date() - timedelta(days=LIVED)
        for customer in customers(ACCOUNTS, to_day(self.first_day), DAYS, SEED):
            for taken, event in customer.events:
                folds[max(begin, from_micros(taken).date())][customer.id].append(event)
        known: set[str] = set()
        for passed in range(LIVED):
            day = begin + timedelta(days=passed)
            await self._clock.sweep(_at(day, 0))
            await self._clock.fold(folds[day], _at(day, 22))
            known |= folds[day].keys()
            for account_id in self._random.sample(sorted(known), k=2):
                await self._override(account_id, _at(day, 23))
        await self._clock.sweep(self.now)

    async def _publish_another(self) -> None:
        about = {"bands": ENTERPRISE_BANDS, "applies_to": {"segments": ["enterprise"]}}
        document = by_active_days(12, "enterprise", **about, calibration=CALIBRATION)
        await self._clock.publish(document, _at(self.first_day, 0))
        await self._clock.reevaluate(_at(self.first_day, 0))

    async def _override(self, account_id: str, at: datetime) -> None:
        random = self._random
        self.api.clock.now = at
        path = f"/v1/accounts/{account_id}/health/override"
        if random.random() < 0.3:
            assert (await self.api.delete(path)).status in {204, 404}
            return
        body: dict[str, Any] = {"reason": "they called", "author": "ann"}
        what = random.choice(["score", "band", "both"])
        if what != "band":
            body["score"] = random.choice([0, 30, 40, 61.5, 70, 99.5])
        if what != "score":
            body["band"] = random.choice(["red", "yellow", "green"])
        if random.random() < 0.7:
            until = at + random.choice([timedelta(minutes=30), timedelta(hours=random.randrange(1, 200))])
            body["expires_at"] = until.isoformat()
        assert (await self.api.put(path, body)).status == 200

    async def account_ids(self) -> list[str]:
        """The ids of all accounts."""
        return [account["account_id"] for account in await self.api.all_items("/v1/accounts?page_size=100")]

    async def health(self, account_id: str) -> Any:
        """An account's health, as the API answers it."""
        return (await self.api.get(f"/v1/accounts/{account_id}/health")).json

    async def days(self, account_id: str) -> dict[date, Any]:
        """The account at the end of each day, as the API answers it."""
        path = f"/v1/accounts/{account_id}/health/history?from={self.first_day}"
        return {date.fromisoformat(each["day"]): each for each in (await self.api.get(path)).items}


def counting(health: Any) -> tuple[float | None, str]:
    """The score and the band that count, from an answer of the API: the override's in place of the computed ones."""
    override = health["override"] or {"score": None, "band": None}
    score, band = override["score"], override["band"]
    if score is None:
        return health["score"], band or health["band"]
    bands = ENTERPRISE_BANDS if health["scorecard"]["name"] == "enterprise" else DEFAULT_BANDS
    return score, band or ("green" if score >= bands["green"] else "yellow" if score >= bands["yellow"] else "red")


def _at(day: date, hour: int) -> datetime:
    return datetime(day.year, day.month, day.day, hour, 5, tzinfo=UTC)


@asynccontextmanager
async def _open(database_url: str, now: datetime) -> AsyncIterator[Portfolio]:
    settings = settings_for(database_url, "127.0.0.1:1", "", encryption_key="a key that is only for tests")
    engine = create_engine(settings, "test")
    async with engine.begin() as connection:
        await publish_default(connection, settings.retention_days)
    async with running(settings, await make_key(engine, "admin")) as api:
        api.clock.now = now
        yield Portfolio(database_url, api, Clock(engine, settings), now)
    await engine.dispose()


@pytest.fixture(scope="session")
def lived(postgres_server: PostgresServer) -> Iterator[tuple[str, datetime]]:
    """A database with customers, and the time at which their months end."""
    url, now = postgres_server.create_migrated(), datetime.now(UTC)

    async def live() -> None:
        async with _open(url, now) as portfolio:
            await portfolio.live()

    asyncio.run(live())
    yield url, now
    postgres_server.drop(url)


@pytest.fixture
async def portfolio(lived: tuple[str, datetime], postgres_server: PostgresServer) -> AsyncIterator[Portfolio]:
    """Customers in a database of the test's own."""
    url = await asyncio.to_thread(postgres_server.create_copy, lived[0])
    async with _open(url, lived[1]) as portfolio:
        yield portfolio
    await asyncio.to_thread(postgres_server.drop, url)
