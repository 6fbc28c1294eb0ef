"""A back-test that was asked for over HTTP, in a process of its own: it takes processors and memory for minutes."""

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.scorecards.document import InvalidDocumentError
from service.evaluation.policy import load_policy
from service.jobs.backtest.attribute_outcomes import read_attribute_outcomes
from service.jobs.backtest.backtest import Backtest, backtest
from service.jobs.backtest.engine_local import LocalEngine
from service.jobs.backtest.event_log import partition_log
from service.jobs.backtest.job_request import BacktestPlan, plan, read_request
from service.jobs.backtest.outcome_file import read_outcomes
from service.jobs.backtest.partitioned_log import PartitionedLog
from service.jobs.backtest.policies import compared_policies
from service.jobs.backtest.topic_log import partition_topics
from service.jobs.load.terminal import Advance, StoppedError
from service.observability.logs import configure_logs
from service.runtime.errors import HealthError
from service.runtime.processors import usable_processors
from service.runtime.settings import Settings
from service.runtime.signals import die_on_sigterm, die_with_parent
from service.storage.accounts import accounts
from service.storage.database.engine import create_engine
from service.storage.policy import backtests
from service.storage.policy.backtests import ClaimedBacktest

log = structlog.get_logger(__name__)

NICENESS = 10
"""Requests and folds come first."""
REPORT_SECONDS = 1.0


def run_job(settings: Settings, claimed: ClaimedBacktest, folder: str) -> None:
    """Run the back-test, with its files in `folder`, and store its report or why it failed; the body of a process."""
    die_with_parent()
    die_on_sigterm()
    os.nice(NICENESS)
    configure_logs(settings, "backtest")
    asyncio.run(_run(settings, claimed, Path(folder)))


class _Progress:
    """The step under way, as the other thread has it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._step = ""
        self._done = 0
        self._total: int | None = None

    @contextmanager
    def show(self, what: str, total: int | None) -> Iterator[Advance]:
        """See `ProgressBar`."""
        with self._lock:
            self._step, self._done, self._total = what, 0, total
        yield self._advance

    def now(self) -> tuple[str, int, int | None]:
        """The step, and how many of its rows are done, of how many."""
        with self._lock:
            return self._step, self._done, self._total

    def _advance(self, rows: int) -> None:
        with self._lock:
            self._done += rows


async def _run(settings: Settings, claimed: ClaimedBacktest, folder: Path) -> None:
    engine = create_engine(settings, "backtest")
    progress, stop = _Progress(), asyncio.Event()
    reporting = asyncio.create_task(_keep_reporting(engine, claimed, progress, stop))
    try:
        found = await _judge(settings, engine, claimed, folder, progress, stop)
    except StoppedError:
        log.warning("backtest_taken_over", backtest=str(claimed.id))
    except (HealthError, InvalidDocumentError) as error:
        await _fail(engine, claimed, str(error))
    except Exception:
        log.exception("backtest_failed", backtest=str(claimed.id))
        await _fail(engine, claimed, "It failed for an unexpected reason. See the log of the API's process")
    else:
        async with engine.begin() as connection:
            await backtests.record_progress(connection, claimed, *progress.now())
            await backtests.finish(connection, claimed, report=report_of(found))
    finally:
        reporting.cancel()
        await engine.dispose()


def report_of(found: Backtest) -> dict[str, Any]:
    """The report as it is stored: without ids of accounts, so that erasing an account leaves nothing of it here."""
    report: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
    for group in report["left_out"]:
        group["accounts"] = []
    return report


async def _judge(
    settings: Settings,
    engine: AsyncEngine,
    claimed: ClaimedBacktest,
    folder: Path,
    progress: _Progress,
    stop: asyncio.Event,
) -> Backtest:
    planned = plan(read_request(claimed.request), settings, folder)
    async with engine.connect() as connection:
        in_force = await load_policy(connection, settings.retention_days)
        stored = await accounts.departures(connection) if planned.outcomes is None else None
    policies = compared_policies(in_force, planned.drafts, planned.rules, settings.retention_days)
    known = None if planned.outcomes is None else await asyncio.to_thread(read_outcomes, planned.outcomes)
    events = await _read_log(planned, settings, folder, progress, stop)

    def judge() -> Backtest:
        there = planned.timing.horizon_days is not None
        outcomes = read_attribute_outcomes(events, still_there=there, stored=stored) if known is None else known
        return backtest(events, policies, outcomes, LocalEngine(_processes()), planned.timing, progress.show)

    found = await asyncio.to_thread(judge)
    if stop.is_set():
        raise StoppedError("Another run has taken over")
    return found


async def _read_log(
    planned: BacktestPlan, settings: Settings, folder: Path, progress: _Progress, stop: asyncio.Event
) -> PartitionedLog:
    if planned.log is None:
        return await partition_topics(settings, folder, stop, progress.show)
    return await partition_log(planned.log, settings.max_record_bytes, stop, _not_said, progress.show)


def _not_said(_: str) -> None:
    """Times without a zone count as UTC, as the documentation says: nobody is at a terminal."""


def _processes() -> int:
    """Half of the processors: the service needs the others."""
    return max(1, usable_processors() // 2)


async def _keep_reporting(
    engine: AsyncEngine, claimed: ClaimedBacktest, progress: _Progress, stop: asyncio.Event
) -> None:
    """Store the progress every second; set `stop` once another run has taken over."""
    while not stop.is_set():
        try:
            async with engine.begin() as connection:
                mine = await backtests.record_progress(connection, claimed, *progress.now())
        except (DBAPIError, OSError) as error:
            log.warning("backtest_progress_unsaved", backtest=str(claimed.id), reason=str(error))
        else:
            if not mine:
                stop.set()
        await asyncio.sleep(REPORT_SECONDS)


async def _fail(engine: AsyncEngine, claimed: ClaimedBacktest, problem: str) -> None:
    async with engine.begin() as connection:
        await backtests.finish(connection, claimed, problem=problem)
