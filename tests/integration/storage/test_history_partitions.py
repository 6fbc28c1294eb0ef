"""The partitions of history: made ahead, filled from the default one, dropped with retention, while folding goes on."""

import asyncio
import time
from collections.abc import Sequence
from datetime import date, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from consumers.sweep import history_partitions as sweeper_partitions
from consumers.sweep.history_partitions import LOCK_TIMEOUT_MS, keep_history
from scoring.state.calendar import to_day
from service.runtime.settings import Settings
from service.storage.accounts import accounts, history, history_partitions
from service.storage.accounts.history import HistoryRow
from service.storage.accounts.history_partitions import Month
from service.storage.database.clock_check import OneClock
from tests.support.service import eventually, query

pytestmark = pytest.mark.anyio

TODAY = date(2026, 3, 20)
RETENTION = 92
MONTHS = [Month(2025, 12), Month(2026, 1), Month(2026, 2), Month(2026, 3), Month(2026, 4), Month(2026, 5)]


def run_of(account_id: str, day: date) -> HistoryRow:
    number = to_day(day)
    return HistoryRow(account_id, number, number - 1, 50.0, "yellow", 1.0, "default", 1, "[]", None, None)


async def insert(connection: AsyncConnection, *rows: HistoryRow) -> None:
    await history.insert(connection, rows)


async def keep(engine: AsyncEngine, today: date = TODAY, retention: int = RETENTION) -> bool:
    return await keep_history(engine, today, retention)


async def months(engine: AsyncEngine) -> Sequence[Month]:
    async with engine.connect() as connection:
        return await history_partitions.months(connection)


async def places(engine: AsyncEngine) -> dict[str, int]:
    """The number of rows in each partition that has any."""
    found = await query(
        engine, "SELECT CAST(tableoid::regclass AS text) AS name, count(*) AS rows FROM history GROUP BY 1"
    )
    return {row.name: row.rows for row in found}


async def test_partitions_are_made_from_retention_to_two_months_ahead(engine: AsyncEngine) -> None:
    assert await months(engine) == []
    assert await keep(engine)
    assert await months(engine) == MONTHS
    indexes = await query(
        engine, "SELECT indexdef FROM pg_indexes WHERE tablename = ANY(:names)", names=[m.partition for m in MONTHS]
    )
    assert len([row for row in indexes if "UNIQUE" in row.indexdef and "(account_id, day)" in row.indexdef]) == 6
    async with engine.begin() as connection:
        await insert(
            connection, run_of("a", date(2026, 3, 1)), run_of("a", date(2026, 3, 31)), run_of("a", date(2026, 4, 1))
        )
        await insert(connection, run_of("a", date(2025, 11, 30)), run_of("a", date(2026, 6, 1)))
    assert await places(engine) == {"history_2026_03": 2, "history_2026_04": 1, "history_default": 2}


async def test_again_it_does_nothing(engine: AsyncEngine) -> None:
    await keep(engine)
    before = await query(engine, "SELECT oid FROM pg_class ORDER BY 1")
    assert await keep(engine)
    assert await query(engine, "SELECT oid FROM pg_class ORDER BY 1") == before


async def test_several_at_once(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await insert(connection, *(run_of(f"account-{n}", TODAY) for n in range(500)))
    while not all(await asyncio.gather(*(keep(engine) for _ in range(4)))):
        pass
    assert await months(engine) == MONTHS
    assert await places(engine) == {"history_2026_03": 500}


async def test_what_the_default_partition_holds_is_moved(engine: AsyncEngine) -> None:
    days = [date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 19), date(2026, 4, 1)]
    async with engine.begin() as connection:
        await insert(connection, *(run_of("acme", day) for day in days), run_of("other", days[1]))
    before = await query(engine, "SELECT * FROM history ORDER BY account_id, day")
    assert await places(engine) == {"history_default": 5}
    assert await keep(engine)
    assert await query(engine, "SELECT * FROM history ORDER BY account_id, day") == before
    assert await places(engine) == {"history_2026_02": 1, "history_2026_03": 3, "history_2026_04": 1}
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO accounts (account_id) VALUES ('acme')"))
        assert await accounts.erase(connection, "acme")
    assert await places(engine) == {"history_2026_03": 1}


async def test_months_leave_with_retention(engine: AsyncEngine) -> None:
    await keep(engine)
    old, kept = date(2025, 12, 31), date(2026, 1, 1)
    async with engine.begin() as connection:
        await insert(connection, run_of("acme", old), run_of("acme", kept))
        await insert(connection, run_of("acme", date(2025, 3, 1)), run_of("b", date(2026, 8, 1)))
    # The last day of December is within retention for the last time.
    assert await keep(engine, old + timedelta(days=RETENTION - 1))
    assert Month(2025, 12) in await months(engine)
    assert await places(engine) == {"history_2025_12": 1, "history_2026_01": 1, "history_default": 1}
    assert await keep(engine, old + timedelta(days=RETENTION))
    assert Month(2025, 12) not in await months(engine)
    assert await places(engine) == {"history_2026_01": 1, "history_default": 1}


async def test_much_that_is_old_leaves_the_default_partition(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.sweep.history_partitions.FORGET_ROWS", 7)
    async with engine.begin() as connection:
        await insert(connection, *(run_of("acme", date(2024, 1, 1) + timedelta(days=n)) for n in range(40)))
        await insert(connection, run_of("acme", date(2025, 11, 30)), run_of("acme", date(2026, 8, 1)))
    await keep(engine)
    kept = await query(engine, "SELECT day FROM history")
    assert [row.day for row in kept] == [date(2026, 8, 1)]


async def test_a_year_passes(engine: AsyncEngine) -> None:
    """A row a day: each is in its month's partition at once, and gone with it."""
    for past in range(366):
        today = TODAY + timedelta(days=past)
        if past % 6 == 0:
            assert await keep(engine, today)
        async with engine.begin() as connection:
            await insert(connection, run_of("acme", today - timedelta(days=1)))
    today = TODAY + timedelta(days=365)
    await keep(engine, today)
    assert "history_default" not in await places(engine)
    assert await months(engine) == [Month(2026, 12), *(Month(2027, month) for month in range(1, 6))]
    oldest = (await query(engine, "SELECT min(day), max(day), count(*) FROM history"))[0]
    assert tuple(oldest) == (date(2026, 12, 1), today - timedelta(days=1), 109)


# --- While folding is under way ---------------------------------------------------------------------------------


async def test_a_transaction_that_has_written_neither_waits_nor_is_waited_for(engine: AsyncEngine) -> None:
    """In normal operation only months ahead are created, and folding isn't held up."""
    await keep(engine)
    async with engine.begin() as folding:
        await insert(folding, run_of("acme", TODAY))
        assert await keep(engine, date(2026, 4, 1))
        assert Month(2026, 6) in await months(engine)
        began = time.monotonic()
        await insert(folding, run_of("acme", TODAY + timedelta(days=1)))
        assert time.monotonic() - began < LOCK_TIMEOUT_MS / 1000
    assert await places(engine) == {"history_2026_03": 2}


async def test_nobody_waits_longer_than_the_lock_timeout(engine: AsyncEngine) -> None:
    """The present month has no partition yet, and a transaction that stays open has written to it."""
    async with engine.connect() as folding, engine.connect() as other:
        await insert(folding, run_of("acme", TODAY))
        keeping = asyncio.create_task(keep(engine))
        longest = 0.0
        while not keeping.done():
            began = time.monotonic()
            await insert(other, run_of(f"other-{began}", TODAY))
            await other.commit()
            longest = max(longest, time.monotonic() - began)
            await asyncio.sleep(0.01)
        assert not await keeping, "it gave up for now"
        assert longest < LOCK_TIMEOUT_MS / 1000 + 0.5
        await insert(folding, run_of("acme", TODAY + timedelta(days=1)))
        await folding.commit()
    assert Month(2026, 3) not in await months(engine)
    assert await keep(engine)
    assert "history_default" not in await places(engine)


async def test_who_drops_a_month_gives_way_too(engine: AsyncEngine) -> None:
    await keep(engine)
    later = date(2026, 4, 2)
    async with engine.begin() as folding:
        await insert(folding, run_of("acme", later))
        assert not await keep(engine, later)
        assert Month(2025, 12) in await months(engine)
    assert await keep(engine, later)
    assert Month(2025, 12) not in await months(engine)


async def test_rows_that_come_meanwhile_are_neither_refused_nor_lost(engine: AsyncEngine) -> None:
    """Many small transactions write to the months whose partitions are being made."""
    written = 0
    kept = asyncio.Event()

    async def fold(name: str) -> None:
        nonlocal written
        while not kept.is_set():
            async with engine.begin() as connection:
                days = (TODAY - timedelta(days=40 * back) for back in range(3))
                await insert(connection, *(run_of(f"{name}-{written}", day) for day in days))
                written += 3
            await asyncio.sleep(0)

    folding = [asyncio.create_task(fold(f"folder-{n}")) for n in range(3)]
    await asyncio.sleep(0.2)
    try:
        async with asyncio.timeout(60):
            while not await keep(engine):
                await asyncio.sleep(0.05)
    finally:
        kept.set()
    await asyncio.gather(*folding)
    found = await places(engine)
    assert "history_default" not in found
    assert sum(found.values()) == written > 0


# --- Operating --------------------------------------------------------------------------------------------------


async def test_one_month_that_cant_be_made_stops_no_other(engine: AsyncEngine) -> None:
    """A month was detached, to archive it."""
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE history_2026_02 (LIKE history)"))
        await insert(connection, run_of("acme", date(2026, 2, 3)))
    assert await keep(engine)
    assert await months(engine) == [month for month in MONTHS if month != Month(2026, 2)]
    assert await places(engine) == {"history_default": 1}
    assert await query(engine, "SELECT 1 FROM history_2026_02") == []


async def test_what_would_take_long_to_move_stays_where_it_is(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumers.sweep.history_partitions.MOST_MOVED", 3)
    async with engine.begin() as connection:
        await insert(connection, *(run_of(f"account-{n}", TODAY) for n in range(4)))
        await insert(connection, *(run_of(f"account-{n}", date(2026, 2, 1)) for n in range(3)))
    assert await keep(engine)
    assert await places(engine) == {"history_2026_02": 3, "history_default": 4}
    assert Month(2026, 3) not in await months(engine)
    assert await keep(engine, TODAY + timedelta(days=RETENTION))
    assert await places(engine) == {}


async def test_the_sweeper_keeps_them(engine: AsyncEngine, database_settings: Settings) -> None:
    stop = asyncio.Event()
    running = asyncio.create_task(sweeper_partitions.run(engine, database_settings, OneClock(), stop))

    async def made() -> bool:
        return len(await months(engine)) >= 15

    await eventually(made, "14 months of 400 days, and two ahead")
    stop.set()
    await asyncio.wait_for(running, 5)
