"""Rounds of the sweeper: when behind, several batches are under way at once."""

import asyncio
from datetime import timedelta
from functools import partial
from itertools import pairwise

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.sweep.rounds import sweep_batches
from consumers.sweep.runner import AT_ONCE, sweep_once, sweep_round
from service.runtime.settings import Settings
from tests.support.service import query
from tests.support.sweeping import START, Clock, used

pytestmark = pytest.mark.anyio

ACCOUNTS = 120
TOMORROW = START + timedelta(days=1)


@pytest.fixture
async def clock(engine: AsyncEngine, database_settings: Settings) -> Clock:
    """Accounts that are due tomorrow, and a Postgres that notes when which session writes their scores, slowly."""
    clock = Clock(engine, database_settings.model_copy(update={"sweep_batch": 10}))
    await clock.fold(
        {f"account-{number:03}": [used(f"account-{number:03}", START)] for number in range(ACCOUNTS)}, START
    )
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE written (account_id text, session int, at timestamptz)"))
        await connection.execute(
            text("""
                CREATE FUNCTION note_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                    INSERT INTO written VALUES (NEW.account_id, pg_backend_pid(), clock_timestamp());
                    PERFORM pg_sleep(0.002);
                    RETURN NEW;
                END $$
            """)
        )
        await connection.execute(
            text("CREATE TRIGGER note_it BEFORE UPDATE ON scores FOR EACH ROW EXECUTE FUNCTION note_it()")
        )
    return clock


async def run_round(clock: Clock, stop: asyncio.Event) -> None:
    batches = sweep_batches(clock.settings)
    sweep = partial(sweep_once, clock.engine, clock.policies, clock.settings, TOMORROW, batches)
    await sweep_round(sweep, batches, stop)


async def test_a_backlog_is_swept_by_several_batches_at_once_and_each_account_once(
    clock: Clock, engine: AsyncEngine
) -> None:
    await run_round(clock, asyncio.Event())
    written = await query(engine, "SELECT account_id, session, at FROM written ORDER BY at")
    assert len(written) == len({row.account_id for row in written}) == ACCOUNTS
    turns = sum(before.session != after.session for before, after in pairwise(written))
    assert len({row.session for row in written}) == AT_ONCE > 1
    assert turns > 2 * ACCOUNTS / 10, "their writes alternate, and not only their batches"


async def test_a_round_ends_once_it_is_asked_to(clock: Clock, engine: AsyncEngine) -> None:
    stop = asyncio.Event()
    stop.set()
    await run_round(clock, stop)
    assert len(await query(engine, "SELECT 1 FROM written")) == 10
