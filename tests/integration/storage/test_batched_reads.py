"""Reads that are asked for at the same time share statements, and none waits for ever or gets another's row."""

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from asyncpg import QueryCanceledError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from service.storage.accounts.score_reader import ScoreReader
from service.storage.database.batched_reads import CONNECTIONS, MOST_KEYS, BatchedReads
from tests.support.service import query

pytestmark = pytest.mark.anyio

# Says how many keys came with it, too; keys that begin with x have no row.
STATEMENT = """
    SELECT key, upper(key), cardinality($1::text[]), $2::int FROM unnest($1::text[]) AS keys (key)
    WHERE key NOT LIKE 'x%'
"""


@pytest.fixture
async def reads(engine: AsyncEngine) -> AsyncIterator[BatchedReads]:
    numbers = iter(range(1_000_000))
    reads = BatchedReads(engine, STATEMENT, lambda: (next(numbers),))
    yield reads
    await reads.close()


async def test_everybody_gets_the_row_of_their_key(reads: BatchedReads) -> None:
    keys = [f"{letter}{number}" for number in range(100) for letter in "abx"]
    rows = await asyncio.gather(*map(reads.row, keys))
    for key, row in zip(keys, rows, strict=True):
        assert (row and tuple(row[:2])) == (None if key.startswith("x") else (key, key.upper()))


async def test_what_is_asked_at_once_shares_a_statement(reads: BatchedReads) -> None:
    alone = await reads.row("a")
    assert alone is not None
    assert alone[2] == 1
    rows = [row for row in await asyncio.gather(*(reads.row(f"a{number}") for number in range(150))) if row]
    assert len({row[3] for row in rows}) == 3
    assert max(row[2] for row in rows) == MOST_KEYS


async def test_nobody_is_forgotten_however_they_come(reads: BatchedReads) -> None:
    chance = random.Random(7)

    async def ask(number: int) -> None:
        for step in range(60):
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            row = await reads.row(f"a{number}-{step}")
            assert row is not None
            assert row[1] == f"A{number}-{step}"

    async with asyncio.timeout(30):
        await asyncio.gather(*map(ask, range(20)))


async def test_who_goes_away_takes_nothing_from_the_others(reads: BatchedReads) -> None:
    asked = [asyncio.create_task(reads.row(f"a{number}")) for number in range(10)]
    await asyncio.sleep(0)
    for task in asked[::2]:
        task.cancel()
    rows = await asyncio.gather(*asked[1::2])
    assert [row[1] for row in rows if row] == ["A1", "A3", "A5", "A7", "A9"]


async def test_a_statement_that_hangs_holds_up_only_those_that_came_with_it(engine: AsyncEngine) -> None:
    # Volatile, so that Postgres doesn't evaluate it when it plans.
    statement = (
        "SELECT key, CASE WHEN key = 'slow' THEN pg_sleep(60) END, $2::int FROM unnest($1::text[]) AS keys (key)"
    )
    reads = BatchedReads(engine, statement, lambda: (0,))
    slow = [asyncio.create_task(reads.row(key)) for key in ("slow", "with it")]
    await asyncio.sleep(0)
    async with asyncio.timeout(20):
        for _ in range(3):
            assert all(await asyncio.gather(*(reads.row(f"a{number}") for number in range(3 * MOST_KEYS))))
    slow[0].cancel()
    await query(engine, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
    with pytest.raises(QueryCanceledError):
        await slow[1]
    await reads.close()


async def test_an_id_that_postgres_refuses_fails_alone(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        for table in ("accounts", "scores"):
            await connection.execute(text(f"INSERT INTO {table} (account_id) VALUES ('acme'), ('bolt')"))
    scores = ScoreReader(engine, lambda: datetime(2030, 1, 31, tzinfo=UTC))
    found = await asyncio.gather(*map(scores.get, ("acme", "a\x00", "none", "bolt")), return_exceptions=True)
    assert [getattr(each, "account_id", each) for each in found[::3]] == ["acme", "bolt"]
    assert isinstance(found[1], DBAPIError)
    assert found[2] is None
    await scores.close()


async def test_connections_are_few_and_reopened_after_they_were_cut(engine: AsyncEngine, reads: BatchedReads) -> None:
    await asyncio.gather(*(reads.row(f"a{number}") for number in range(1000)))
    cut = await query(
        engine,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%cardinality($1::text[]), $2::int%' "
        "AND pid <> pg_backend_pid()",
    )
    assert 1 <= len(cut) <= CONNECTIONS
    await asyncio.sleep(0.1)
    row = await reads.row("a")
    assert row is not None
    assert row[1] == "A"


async def test_an_error_reaches_all_waiting_callers_and_no_later_ones(engine: AsyncEngine) -> None:
    divisors = iter([0, 1])
    statement = "SELECT key, 1 / $2::int FROM unnest($1::text[]) AS keys (key)"
    reads = BatchedReads(engine, statement, lambda: (next(divisors),))
    told = await asyncio.gather(*map(reads.row, "abc"), return_exceptions=True)
    assert [type(each).__name__ for each in told] == ["DivisionByZeroError"] * 3
    row = await reads.row("a")
    assert row is not None
    assert tuple(row) == ("a", 1)
    await reads.close()
