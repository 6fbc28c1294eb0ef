"""Keeps what scorecards' calibrations expect to churn, and publishes how far that is from what did."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from functools import partial
from math import nan

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from consumers.sweep.side_jobs import run_side_job
from scoring.backtest.calibration_drift import ExpectedChurn, finished_months
from service.observability import metrics
from service.runtime.tasks import sleep_unless_stopped
from service.storage.accounts import churn_expectations
from service.storage.accounts.churn_expectations import ChurnOfMonth
from service.storage.database import clock_check
from service.storage.database.clock_check import OneClock
from service.storage.database.retry import retry_while_transient
from service.storage.policy import scorecards

log = structlog.get_logger(__name__)

EVERY_SECONDS = 3600.0
AGAIN_SECONDS = 5.0
"""Delay while the clock is wrong."""
FAILED_SECONDS = 300.0
BATCH = 5_000
"""Rows per transaction: some tenths of a second."""
MOST_SCORECARDS = 20
OTHER = "other"
"""Stands for the scorecards with the fewest outcomes, if there are more."""
DOING = "comparing expected churn"


async def run(engine: AsyncEngine, clock: OneClock, stop: asyncio.Event) -> None:
    """Work every hour until `stop` is set, through outages of Postgres. Does nothing while the clock is wrong."""
    while not stop.is_set():
        if await retry_while_transient(partial(clock_check.compare, engine, clock), clock_check.COMPARING):
            await sleep_unless_stopped(stop, AGAIN_SECONDS)
            continue
        done = await run_side_job(
            lambda: retry_while_transient(lambda: keep_once(engine, clock.now().date()), DOING), DOING
        )
        await sleep_unless_stopped(stop, FAILED_SECONDS if done is None else EVERY_SECONDS)


async def keep_once(engine: AsyncEngine, today: date) -> bool:
    """Note what is decided today, settle what was, forget what no month needs, and publish the comparison; True.

    It may be done any number of times, and by several processes: one at a time writes.
    """
    months = finished_months(today)
    await _note(engine, today)
    await _in_batches(engine, lambda connection: churn_expectations.settle(connection, today, BATCH))
    await _in_batches(engine, lambda connection: churn_expectations.forget(connection, months[-1], BATCH))
    async with engine.begin() as connection:
        names = await scorecards.names(connection)
        found = await churn_expectations.by_month(connection, months[-1], _following(months[0]))
    show(names, found, months[0])
    return True


async def _note(engine: AsyncEngine, today: date) -> None:
    async with engine.connect() as connection:
        if not await churn_expectations.any_calibrated(connection):
            return
    cursor, total = "", 0

    async def next_some(connection: AsyncConnection) -> int:
        nonlocal cursor, total
        noted = await churn_expectations.note(connection, today, cursor, BATCH)
        cursor, total = noted.last or cursor, total + noted.rows
        return noted.rows

    await _in_batches(engine, next_some)
    if total:
        log.info("churn_expected", outcomes=total)


async def _in_batches(engine: AsyncEngine, step: Callable[[AsyncConnection], Awaitable[int]]) -> None:
    """Repeat `step` in a transaction each until it is no longer full, or another process is at it."""
    done = BATCH
    while done == BATCH:
        async with engine.begin() as connection:
            done = await step(connection) if await churn_expectations.acquire_lock(connection) else 0


def show(names: Sequence[str], found: Sequence[ChurnOfMonth], latest: date) -> None:
    """Publish the outcomes of finished months, of which `latest` is the first day of the most recent, for all
    scorecards in `names`: without a calibration none were expected, and there is no drift (NaN).
    """
    of_latest: defaultdict[str, ExpectedChurn] = defaultdict(ExpectedChurn)
    of_all: defaultdict[str, ExpectedChurn] = defaultdict(ExpectedChurn)
    label = _labels(names, found)
    for name in names:
        of_all[label(name)] += ExpectedChurn()
    for each in found:
        name = label(each.scorecard)
        of_all[name] += each.churn
        if each.month == latest:
            of_latest[name] += each.churn
    for gauge in (metrics.EXPECTED_CHURN, metrics.OBSERVED_CHURN, metrics.CALIBRATION_DRIFT):
        gauge.clear()
    for name, churn in of_all.items():
        metrics.EXPECTED_CHURN.labels(name).set(of_latest[name].expected)
        metrics.OBSERVED_CHURN.labels(name).set(of_latest[name].observed)
        metrics.CALIBRATION_DRIFT.labels(name).set(nan if churn.drift is None else churn.drift)


def _labels(names: Sequence[str], found: Sequence[ChurnOfMonth]) -> Callable[[str], str]:
    """The label of each scorecard: its name, if it is among those with the most outcomes."""
    accounts = dict.fromkeys(names, 0)
    for each in found:
        accounts[each.scorecard] = accounts.get(each.scorecard, 0) + each.churn.accounts
    named = set(sorted(accounts, key=lambda name: (-accounts[name], name))[:MOST_SCORECARDS])
    return lambda name: name if name in named else OTHER


def _following(month: date) -> date:
    return date(month.year + month.month // 12, month.month % 12 + 1, 1)
