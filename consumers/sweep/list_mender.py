"""Mends the rows that lists are read from where they differ from the scores, as they do after a rolling upgrade."""

import asyncio
from datetime import datetime
from functools import partial

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.sweep.side_jobs import run_side_job
from service.observability import metrics
from service.runtime.tasks import sleep_unless_stopped
from service.storage.accounts.listing import mending
from service.storage.database import clock_check
from service.storage.database.clock_check import OneClock
from service.storage.database.retry import retry_while_transient

log = structlog.get_logger(__name__)

EVERY_SECONDS = 3600.0
AGAIN_SECONDS = 5.0
"""Delay while the clock is wrong."""
FAILED_SECONDS = 300.0
BATCH = 4_000
"""Accounts per transaction: some tenths of a second."""
TIMEOUT_MS = 60_000
DOING = "mending lists"


async def run(engine: AsyncEngine, clock: OneClock, stop: asyncio.Event) -> None:
    """Mend every hour until `stop` is set, through outages of Postgres. Does nothing while the clock is wrong."""
    while not stop.is_set():
        if await retry_while_transient(partial(clock_check.compare, engine, clock), clock_check.COMPARING):
            await sleep_unless_stopped(stop, AGAIN_SECONDS)
            continue
        done = await run_side_job(lambda: retry_while_transient(lambda: mend_once(engine, clock.now()), DOING), DOING)
        await sleep_unless_stopped(stop, FAILED_SECONDS if done is None else EVERY_SECONDS)


async def mend_once(engine: AsyncEngine, now: datetime) -> int:
    """Mend all rows that differ, except those of accounts that others have locked; returns their number."""
    async with engine.connect() as connection:
        found = await mending.find(connection, TIMEOUT_MS)
    mended = 0
    for start in range(0, len(found), BATCH):
        async with engine.begin() as connection:
            mended += await mending.mend(connection, found[start : start + BATCH], now)
    if mended:
        metrics.MENDED_LIST_ROWS.inc(mended)
        log.info("lists_mended", accounts=mended)
    return mended
