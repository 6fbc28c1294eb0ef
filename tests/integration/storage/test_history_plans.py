"""Reads of history touch only the months they need, by key: their cost doesn't grow with the years of history."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from scoring.state.calendar import to_day
from service.storage.accounts import history, score_reader
from service.storage.accounts import history as history_reads
from service.storage.accounts.history import HistoryRow
from service.storage.accounts.history_partitions import Month

pytestmark = pytest.mark.anyio

NOW = datetime(2030, 12, 20, 9, tzinfo=UTC)
MONTHS = [Month(2029 + index // 12, index % 12 + 1) for index in range(26)]
ACCOUNTS = 50


@pytest.fixture
async def connection(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """Two years of some accounts, with a change every few days."""
    async with engine.connect() as connection:
        await _fill(connection)
        yield connection


async def _fill(connection: AsyncConnection) -> None:
    for month in MONTHS:
        await connection.execute(text(f"CREATE TABLE {month.partition} PARTITION OF history FOR VALUES {month.bounds}"))
    days = range(to_day(date(2029, 1, 5)), to_day(NOW.date()), 5)
    await history.insert(
        connection,
        [
            HistoryRow(f"account-{number}", day, day - 4, day % 100, "green", 1, "default", 1, "[]", None, None)
            for number in range(ACCOUNTS)
            for day in days
        ],
    )
    await connection.execute(text("ANALYZE history"))


def months_read(plan: list[str]) -> set[str]:
    """The partitions that a plan has left to scan, all of them by key."""
    lines = "\n".join(plan)
    assert "Seq Scan on history" not in lines
    scanned = re.findall(r"Scan (?:using \w+ )?on (history_\w+?)(?:_pkey)? .*\n +(?:Index|Recheck) Cond: (.*)", lines)
    assert scanned, lines
    assert all(re.match(r"\(\(account_id = .* AND \(day >= ", condition) for _, condition in scanned), lines
    return {name for name, _ in scanned}


async def explained(connection: AsyncConnection, statement: str, values: tuple[object, ...]) -> list[str]:
    """The plan for any values, as the statement is prepared."""
    await connection.execute(text("SET LOCAL plan_cache_mode = force_generic_plan"))
    await connection.execute(text("SET LOCAL enable_seqscan = off"))
    rows = await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {statement}", values)
    return [row[0] for row in rows]


async def test_the_trend_reads_the_months_of_its_two_days_on(connection: AsyncConnection) -> None:
    await connection.execute(text("INSERT INTO accounts (account_id) VALUES ('account-7')"))
    await connection.execute(
        text("INSERT INTO scores (account_id, since, day) VALUES ('account-7', '2030-12-19', '2030-12-20')")
    )
    plan = await explained(connection, score_reader.STATEMENT, (["account-7"], NOW, NOW.date()))
    assert months_read(plan) <= {f"history_2030_{month}" for month in (11, 12)} | {
        "history_2031_01",
        "history_2031_02",
        "history_default",
    }
    stored = await score_reader.get(connection, "account-7", NOW)
    assert stored is not None
    wanted = [_score(NOW.date() - timedelta(days=days)) for days in (7, 30)]
    assert [stored.week_ago, stored.month_ago] == wanted


async def test_runs_are_read_from_their_first_month_on(connection: AsyncConnection) -> None:
    first = to_day(date(2030, 11, 14))
    runs = await history_reads.runs(connection, "account-7", first)
    assert runs[0].since <= first <= runs[0].day
    assert [run.since for run in runs[1:]] == [run.day + 1 for run in runs[:-1]]
    statement = str(history_reads.RUNS).replace(":id", "$1").replace(":first", "$2")
    plan = await explained(connection, statement, ("account-7", first))
    assert {name for name in months_read(plan) if name < "history_2030_11"} == set()


def _score(day: date) -> float:
    """The score of the run that contains the day: each ends on every fifth day."""
    first = to_day(date(2029, 1, 5))
    number = to_day(day)
    return float((number + (first - number) % 5) % 100)
