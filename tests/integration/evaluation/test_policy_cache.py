"""The policy that reads go by: checked by one of those who need it, and for as long as that takes nobody waits."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.rules.policy import Policy
from service.evaluation.policy import KEEP_SECONDS, PolicyCache, publish_default
from tests.support.service import query

pytestmark = pytest.mark.anyio

AT_ONCE = 20
WAITING = "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


class Reader:
    """Asks for the policy at a time of the test's choosing, on connections outside of transactions, as the API does."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.seconds = 100.0
        self.policies = PolicyCache(92, lambda: self.seconds)
        self._engine = engine
        self._reads = engine.execution_options(isolation_level="AUTOCOMMIT")

    async def ask(self) -> Policy:
        return await self.policies.recent_by(self._reads)

    async def ask_at_once(self) -> set[asyncio.Task[Policy]]:
        """So many that ask at the same time, when those that needn't ask Postgres have the policy."""
        asked = {asyncio.create_task(self.ask()) for _ in range(AT_ONCE)}
        await asyncio.sleep(0)
        return asked

    async def until_one_waits(self) -> None:
        """Wait until checks wait for a lock; there must be one."""
        async with asyncio.timeout(10):
            while not (waiting := (await query(self._engine, f"SELECT count(*) {WAITING}"))[0][0]):
                await asyncio.sleep(0.01)
        assert waiting == 1


@pytest.fixture
async def reader(engine: AsyncEngine) -> Reader:
    async with engine.begin() as connection:
        await publish_default(connection, 92)
    reader = Reader(engine)
    await reader.ask()
    return reader


async def test_while_one_checks_the_others_go_by_the_last_check(engine: AsyncEngine, reader: Reader) -> None:
    reader.seconds += KEEP_SECONDS / 2
    async with engine.begin() as connection:
        await connection.execute(text("LOCK TABLE scorecards"))
        asked = await reader.ask_at_once()
        assert sum(task.done() for task in asked) == AT_ONCE - 1
        await reader.until_one_waits()
        await connection.execute(text("DELETE FROM scorecards WHERE name <> 'default'"))
    assert len({id(policy) for policy in await asyncio.gather(*asked)}) == 1
    reader.seconds += KEEP_SECONDS / 4
    async with engine.begin() as connection:
        await connection.execute(text("LOCK TABLE scorecards"))
        assert all(task.done() for task in await reader.ask_at_once()), "it was checked a moment ago"


async def test_nobody_goes_by_a_policy_that_is_too_old_though_one_checks(engine: AsyncEngine, reader: Reader) -> None:
    reader.seconds += KEEP_SECONDS / 2
    async with engine.begin() as connection:
        await connection.execute(text("LOCK TABLE scorecards"))
        hanging = asyncio.create_task(reader.ask())
        await reader.until_one_waits()
        hanging.cancel()  # its caller has gone, and the check with it
        reader.seconds += KEEP_SECONDS / 4
        assert (await reader.ask()).retention == 92
        reader.seconds += KEEP_SECONDS / 4
        asked = await reader.ask_at_once()
        assert not any(task.done() for task in asked)
    await asyncio.gather(*asked)


async def test_a_change_of_ones_own_is_seen_at_once(engine: AsyncEngine, reader: Reader) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE scorecards SET published_at = published_at + interval '1 s'"))
    before = await reader.ask()
    reader.policies.forget()
    assert await reader.ask() is not before
