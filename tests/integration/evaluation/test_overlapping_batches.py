"""A batch locks its accounts part by part, while it folds: batches that overlap still lock them in one order."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.rules.policy import Policy
from scoring.state.account_state import RETENTION_DAYS
from scoring.state.calendar import day_of, to_micros
from scoring.state.events import UsageEvent
from service.evaluation import evaluate
from service.evaluation.changes import read_state
from service.evaluation.evaluate import Inputs, advance_accounts
from service.evaluation.policy import PolicyCache, publish_default
from service.storage.accounts import states
from service.storage.database.engine import create_engine
from tests.support.postgres import PostgresServer
from tests.support.service import settings_for

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
WRITERS, ROUNDS = 4, 12
NAMES = [f"{letter}{number}" for letter in "aAbBzZ_" for number in range(9)]


@pytest.fixture
async def engine(postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AsyncEngine]:
    """Parts are of five accounts."""
    monkeypatch.setattr(evaluate, "CHUNK", 5)
    url = await asyncio.to_thread(postgres_server.create_migrated)
    engine = create_engine(settings_for(url, "127.0.0.1:1", ""), "test", by_key=True)
    async with engine.begin() as connection:
        await publish_default(connection, RETENTION_DAYS)
    yield engine
    await engine.dispose()


async def fold(engine: AsyncEngine, policy: Policy, names: list[str]) -> None:
    at = to_micros(NOW)
    events = {name: [UsageEvent(name, at, day_of(at), day_of(at), "login", 1, 1)] for name in names}
    async with engine.begin() as connection:
        await advance_accounts(connection, Inputs(events), policy, NOW, base_url="")


async def test_batches_that_overlap_wait_for_each_other_and_lose_nothing(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        policy = await PolicyCache(RETENTION_DAYS, lambda: 0.0).in_force(connection)
    chance = random.Random(7)
    expected = dict.fromkeys(NAMES, 0)

    async def write() -> None:
        for _ in range(ROUNDS):
            names = chance.sample(NAMES, 40)
            await fold(engine, policy, names)
            for name in names:
                expected[name] += 1

    await fold(engine, policy, NAMES)  # first, as batches that create the same accounts may meet in a deadlock
    await asyncio.gather(*[write() for _ in range(WRITERS)])
    async with engine.connect() as connection:
        stored = await states.read(connection, NAMES)
    logins = {row.account_id: sum(read_state(row).usage.days.values()) for row in stored}
    assert logins == {name: count + 1 for name, count in expected.items()}
