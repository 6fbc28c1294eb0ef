"""Runs back-tests that were asked for over HTTP, one at a time, each in a process of its own."""

import asyncio
import multiprocessing
import tempfile
from collections.abc import Callable

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from service.jobs.backtest.job import run_job
from service.runtime.settings import Settings
from service.storage.database.retry import trouble
from service.storage.policy import backtests
from service.storage.policy.backtests import ClaimedBacktest

log = structlog.get_logger(__name__)

Body = Callable[[Settings, ClaimedBacktest, str], None]
"""The work of a process, with a folder that is removed after it."""
LOOK_SECONDS = 2.0
"""Seconds between two looks for back-tests that wait."""


async def run_backtests(settings: Settings, engine: AsyncEngine, body: Body = run_job) -> None:
    """Run what waits, until cancelled, which ends the process under way: its back-test waits again for any other.

    `body` is what a process does.
    """
    while True:
        try:
            async with engine.begin() as connection:
                claimed = await backtests.claim(connection)
            if claimed is not None:
                await _run(settings, engine, claimed, body)
                continue
        except (DBAPIError, OSError) as error:
            log.warning("backtests_not_read", reason=trouble(error) or str(error))
        await asyncio.sleep(LOOK_SECONDS)


async def _run(
    settings: Settings,
    engine: AsyncEngine,
    claimed: ClaimedBacktest,
    body: Body,
) -> None:
    # Spawned, not forked: this process has threads and connections.
    with tempfile.TemporaryDirectory(prefix="account-health-backtest-") as folder:
        process = multiprocessing.get_context("spawn").Process(target=body, args=(settings, claimed, folder))
        await asyncio.to_thread(process.start)
        log.info("backtest_started", backtest=str(claimed.id), pid=process.pid)
        try:
            await asyncio.to_thread(process.join)
        except asyncio.CancelledError:
            process.terminate()
            await asyncio.to_thread(process.join)
            async with engine.begin() as connection:
                await backtests.give_back(connection, claimed, in_good_order=True)
            raise
    log.info("backtest_ended", backtest=str(claimed.id), exit_status=process.exitcode)
    async with engine.begin() as connection:
        await backtests.give_back(connection, claimed, in_good_order=False)
