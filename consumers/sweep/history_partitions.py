"""The monthly partitions of history: created ahead of time, dropped after retention."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from functools import partial

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from consumers.sweep.side_jobs import run_side_job
from scoring.history.day_by_day import LONGEST_GAP
from service.runtime.settings import Settings
from service.runtime.tasks import sleep_unless_stopped
from service.storage.accounts import history_partitions
from service.storage.accounts.history_partitions import Month, first_kept
from service.storage.database import clock_check
from service.storage.database.clock_check import OneClock
from service.storage.database.retry import is_transient, retry_while_transient

log = structlog.get_logger(__name__)

MONTHS_AHEAD = 2
LOCK_TIMEOUT_MS = 300
"""The longest that folding may have to wait for us while we wait for it."""
MOST_MOVED = 100_000
"""The most rows moved in a transaction with their month: half a second, during which folding may wait."""
FORGET_ROWS = 10_000
"""Rows of the default partition deleted per transaction."""
ROUND_SECONDS = 3600.0
AGAIN_SECONDS = 5.0
"""Delay before a partition locked by folding is tried again: far longer than the lock timeout."""
FAILED_SECONDS = 300.0
KEEPING = "keeping the partitions of history"


def wanted(today: date, retention_days: int) -> list[Month]:
    """The months that need a partition, in order: from the earliest day that can be written, to `MONTHS_AHEAD`
    ahead.
    """
    month = Month.of(first_kept(today, min(retention_days, LONGEST_GAP + 1)))
    last = Month.of(today)
    for _ in range(MONTHS_AHEAD):
        last = last.following
    found = [month]
    while found[-1] < last:
        found.append(found[-1].following)
    return found


def expired(months: Sequence[Month], today: date, retention_days: int) -> list[Month]:
    """The months of which every day has left retention."""
    kept = first_kept(today, retention_days)
    return [month for month in months if month.following.first_day <= kept]


async def keep_history(engine: AsyncEngine, today: date, retention_days: int) -> bool:
    """Create missing partitions, and drop those that have left retention.

    Returns False if something is left to do because others held locks: try again soon. Several processes may do this at
    once. A step that fails for good is logged, and history continues in the default partition.
    """
    async with engine.connect() as connection:
        existing = await history_partitions.months(connection)
    present = Month.of(today)
    missing = [month for month in wanted(today, retention_days) if month not in existing]
    done = True
    for month in sorted(missing, key=lambda month: (month < present, month)):
        done = await _try(engine, partial(_create, month=month, present=present)) and done
    for month in expired(existing, today, retention_days):
        done = await _try(engine, partial(_drop, month=month)) and done
    await _forget(engine, first_kept(today, retention_days))
    return done


async def _create(connection: AsyncConnection, month: Month, present: Month) -> None:
    if month in await history_partitions.months(connection):
        return
    if await history_partitions.in_default(connection, month, MOST_MOVED + 1) > MOST_MOVED:
        log.warning(
            "history_partition_left_out",
            partition=month.partition,
            reason=f"more than {MOST_MOVED} rows to move",
            remedy="None is needed; deploy/operating.md, History, says how to move them",
        )
        return
    if month <= present:
        await history_partitions.block_writers(connection)
    moved = await history_partitions.create(connection, month)
    log.info("history_partition_created", partition=month.partition, moved=moved)


async def _drop(connection: AsyncConnection, month: Month) -> None:
    if month in await history_partitions.months(connection):
        await history_partitions.drop(connection, month)
        log.info("history_partition_dropped", partition=month.partition)


async def _try(engine: AsyncEngine, work: Callable[[AsyncConnection], Awaitable[None]]) -> bool:
    """Do `work` in its own transaction; False if another session held a lock."""
    try:
        async with engine.begin() as connection:
            if not await history_partitions.acquire_lock(connection, LOCK_TIMEOUT_MS):
                return False
            await work(connection)
    except DBAPIError as error:
        if history_partitions.is_busy(error):
            return False
        if is_transient(error):
            raise
        log.error(  # noqa: TRY400 - the reason is enough
            "history_partitions_not_kept",
            reason=str(error.orig),
            remedy="See deploy/operating.md, History: rows without a partition go to history_default",
        )
    return True


async def _forget(engine: AsyncEngine, first: date) -> None:
    """Delete rows of the default partition from days before `first`."""
    deleted = FORGET_ROWS
    while deleted == FORGET_ROWS:
        async with engine.begin() as connection:
            deleted = await history_partitions.delete_before(connection, first, FORGET_ROWS)
        if deleted:
            log.info("history_deleted", rows=deleted, before=str(first))


async def run(engine: AsyncEngine, settings: Settings, clock: OneClock, stop: asyncio.Event) -> None:
    """Maintain the partitions of history until `stop` is set, through outages of Postgres.

    Does nothing while the clock is wrong, because it would drop months that must be kept.
    """
    while not stop.is_set():
        if await retry_while_transient(partial(clock_check.compare, engine, clock), clock_check.COMPARING):
            await sleep_unless_stopped(stop, AGAIN_SECONDS)
            continue
        done = await run_side_job(
            lambda: retry_while_transient(
                lambda: keep_history(engine, clock.now().date(), settings.history_retention_days), KEEPING
            ),
            KEEPING,
        )
        await sleep_unless_stopped(stop, FAILED_SECONDS if done is None else ROUND_SECONDS if done else AGAIN_SECONDS)
