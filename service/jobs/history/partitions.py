"""Makes the monthly partitions for days that are about to be written."""

import asyncio
from collections.abc import Collection
from datetime import date

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from service.storage.accounts import history_partitions
from service.storage.accounts.history_partitions import Month

LOCK_TIMEOUT_MS = 300
"""The longest that folding may have to wait for us while we wait for it."""
TRIES = 20
AGAIN_SECONDS = 0.25


async def make_months(engine: AsyncEngine, months: Collection[Month], today: date) -> None:
    """Make the missing ones of these partitions, beside consumers and sweepers.

    Does without where others hold locks, or the month has rows in the default partition, which the sweeper moves:
    nothing is lost, as rows of days without a partition go to the default one. The months should lie within retention,
    or the sweeper drops them.
    """
    for month in sorted(months):
        for _ in range(TRIES):
            if await _make(engine, month, Month.of(today)):
                break
            await asyncio.sleep(AGAIN_SECONDS)


async def _make(engine: AsyncEngine, month: Month, present: Month) -> bool:
    try:
        async with engine.begin() as connection:
            if month in await history_partitions.months(connection):
                return True
            if not await history_partitions.acquire_lock(connection, LOCK_TIMEOUT_MS):
                return False
            if month in await history_partitions.months(connection):
                return True
            if not await history_partitions.in_default(connection, month, 1):
                if month <= present:
                    await history_partitions.block_writers(connection)
                await history_partitions.create(connection, month)
            return True
    except DBAPIError as error:
        if history_partitions.is_busy(error):
            return False
        raise
