"""Housekeeping beside the sweeper: the partitions of history."""

import asyncio
from functools import partial

from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.aside import aside
from service.housekeeping import keep_history
from service.runtime.settings import Settings
from service.runtime.tasks import rest
from service.storage.database import clock_check
from service.storage.database.clock_check import OneClock
from service.storage.database.retry import persistently

ROUND_SECONDS = 3600.0
AGAIN_SECONDS = 5.0
"""How soon a partition is tried for again when folding held it: far longer than it is waited for."""
FAILED_SECONDS = 300.0
KEEPING = "keeping the partitions of history"
FAILED_SECONDS = 300.0
KEEPING = "keeping the partitions of history"


async def run(engine: AsyncEngine, settings: Settings, clock: OneClock, stop: asyncio.Event) -> None:
    """Keep the partitions of history until `stop` is set, through outages of Postgres.

    Not while the clock is wrong: months would leave that are still to be kept.
    """
    while not stop.is_set():
        if await persistently(partial(clock_check.compare, engine, clock), clock_check.COMPARING):
            await rest(stop, AGAIN_SECONDS)
            continue
        done = await aside(
            lambda: persistently(
                lambda: keep_history(engine, clock.now().date(), settings.history_retention_days), KEEPING
            ),
            KEEPING,
        )
        await rest(stop, FAILED_SECONDS if done is None else ROUND_SECONDS if done else AGAIN_SECONDS)
