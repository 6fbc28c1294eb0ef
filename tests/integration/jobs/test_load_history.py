"""`account-health load --history`: the past of loaded accounts is that of a twin that was fed the same events live."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from service.evaluation.policy import publish_default
from service.runtime.settings import Settings
from service.storage.database.engine import create_engine
from tests.support.commands import command, environment
from tests.support.event_logs import log_of, write_log
from tests.support.postgres import PostgresServer
from tests.support.service import consuming, settings_for
from tests.support.sweeping import Clock, by_active_days
from tests.support.twin import live_through, lived_days, stored_days

pytestmark = pytest.mark.anyio
ACCOUNTS = [f"acme-{number}" for number in range(8)]
DAYS = 60


@pytest.fixture
def today() -> date:
    """The day on which the log is loaded."""
    return datetime.now(UTC).date()


@dataclass
class Loader:
    """Loads logs into a service, by the command."""

    settings: Settings
    folder: Path

    async def load(self, *words: str | Path) -> str:
        """Load, and return the output."""
        everything = ["load", "--state-dir", str(self.folder / "state"), *map(str, words)]
        done = await asyncio.to_thread(command, *everything, env=environment(self.settings), seconds=120)
        return done.stdout + done.stderr


@pytest.fixture
def loader(settings: Settings, tmp_path: Path) -> Loader:
    return Loader(settings, tmp_path)


@pytest.fixture
async def twin(settings: Settings, postgres_server: PostgresServer) -> AsyncIterator[Clock]:
    """Another service, which lives on a clock of its own."""
    url = await asyncio.to_thread(postgres_server.create_migrated)
    twins = settings_for(url, "127.0.0.1:1", "")
    engine = create_engine(twins, "test")
    async with engine.begin() as connection:
        await publish_default(connection, twins.retention_days)
    yield Clock(engine, twins)
    await engine.dispose()
    await asyncio.to_thread(postgres_server.drop, url)


async def publish_some(*clocks: Clock) -> None:
    """Publish a scorecard for all accounts and another for those of a segment, before there are any."""
    for clock in clocks:
        await clock.publish(by_active_days(9), datetime(2020, 1, 1, tzinfo=UTC))
        await clock.publish(
            by_active_days(5, "large", applies_to={"segments": ["large"]}), datetime(2020, 1, 1, tzinfo=UTC)
        )
        await clock.reevaluate(datetime(2020, 1, 1, tzinfo=UTC))


def log_up_to(today: date, accounts: Sequence[str] = ACCOUNTS, seed: int = 3) -> list[dict[str, Any]]:
    """A log of the days before today."""
    return log_of(accounts, seed, datetime.combine(today - timedelta(days=DAYS), time(8), UTC))


async def test_the_past_is_that_of_a_twin_that_was_fed_the_same_events_live(
    loader: Loader, engine: AsyncEngine, twin: Clock, today: date, tmp_path: Path
) -> None:
    """Equal are all rows of history before the day of the load, to the last byte of the journals. What differs by
    nature: the load cuts the run of days that is current when live history begins, and history ends for the twin's
    clock on the day before.
    """
    clock = Clock(engine, loader.settings)
    await publish_some(clock, twin)
    events = log_up_to(today)
    async with consuming(loader.settings):
        told = await loader.load(write_log(tmp_path / "log.ndjson", events))
    assert f"the past of {len(ACCOUNTS)} accounts from " in told
    await live_through(twin, events, today - timedelta(days=1))
    found, expected = await stored_days(clock, datetime.now(UTC)), await lived_days(twin)
    assert found == expected
    assert len({row[3] for row in found}) > 5
    assert {row[6] for row in found} == {"default", "large"}
