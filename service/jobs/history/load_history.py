"""The history of a loaded log: the accounts that need a past, the replay of it, and its rows in Postgres."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path

import pyarrow.parquet as pq
from msgspec import Struct
from msgspec.structs import replace
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from scoring.rules.policy import Policy
from scoring.state.calendar import day_of, from_day, to_day
from service.evaluation.policy import load_policy
from service.jobs.backtest.engine_local import LocalEngine
from service.jobs.backtest.event_log import partition_log
from service.jobs.backtest.partitioned_log import PartitionedLog, accounts_of
from service.jobs.backtest.policy_codec import encode_policy
from service.jobs.backtest.result_files import read_results, results_folder
from service.jobs.backtest.topic_log import partition_topics
from service.jobs.history.account_past import Wanted
from service.jobs.history.history_task import HistoryTask, history_rows
from service.jobs.history.merged_log import merge_logs
from service.jobs.history.waiting import AWAY_SECONDS, STILL_SECONDS, until_folded
from service.jobs.history.writer import HistoryWriter, Past, Written
from service.jobs.load.files import LoadRequest
from service.jobs.load.load import Loaded
from service.jobs.load.terminal import Advance, StoppedError, bar
from service.messaging.cloudevents import now_micros
from service.runtime.errors import HealthError
from service.runtime.settings import Settings
from service.storage.accounts import replayed_history
from service.storage.accounts.history_partitions import first_kept
from service.storage.database.engine import create_engine
from service.storage.database.errors import to_operator_error
from service.storage.database.migrate import schema_problem

CHUNK = 10_000
"""Accounts that are looked up at a time."""


class HistoryPlan(Struct, frozen=True):
    """The past that is to be written: of which accounts of a log, and by which scorecards.

    `replayed_before` is the number of accounts that are left alone because they have a replayed past already.
    """

    log: PartitionedLog
    policy: Policy
    wanted: Mapping[str, Wanted]
    replayed_before: int
    first_kept: int

    @property
    def task(self) -> HistoryTask:
        """The work of an engine."""
        return HistoryTask(encode_policy(replace(self.policy, rules=())), self.wanted, self.first_kept)


async def plan_history(
    order: LoadRequest, loaded: Loaded, settings: Settings, stop: asyncio.Event, *, rewrite: bool
) -> HistoryPlan:
    """Read the log once more, wait until its accounts exist, and find those that need a past.

    Those are all that have no replayed days, and with `rewrite` the others too. Then everything in the service's topics
    counts, events of earlier loads among them; accounts that are only there get a past if they have none. Raises
    `HealthError` and `StoppedError`.
    """
    first = first_kept(from_day(day_of(now_micros())), settings.history_retention_days)
    async with _connected(settings) as engine:
        async with engine.connect() as connection:
            await _require_schema(connection)
        working = replace(order, state_dir=order.state_dir / "history")
        log = await partition_log(working, settings.max_record_bytes, stop, warn=_said_before, shifts=loaded.shifts)
        accounts = await asyncio.to_thread(accounts_of, log)
        rewritten = set(accounts) if rewrite else set()
        if rewrite:
            topics = await partition_topics(settings, working.state_dir / "topics", stop)
            log = await asyncio.to_thread(merge_logs, [log, topics], working.state_dir / "merged")
            shutil.rmtree(topics.folder, ignore_errors=True)
            accounts = await asyncio.to_thread(accounts_of, log)
        await until_folded(engine, accounts, loaded.ends, stop, STILL_SECONDS if rewrite else AWAY_SECONDS)
        async with engine.connect() as connection:
            policy = await load_policy(connection, settings.retention_days)
            found = [
                each
                for start in range(0, len(accounts), CHUNK)
                for each in await replayed_history.beginnings(connection, accounts[start : start + CHUNK], first)
            ]
    wanted = {
        each.account_id: Wanted(each.live_from, each.created_at, each.started_on)
        for each in found
        if each.account_id in rewritten or each.replayed_from is None
    }
    return HistoryPlan(log, policy, wanted, 0 if rewrite else len(found) - len(wanted), to_day(first))


def replay_plan(plan: HistoryPlan) -> Sequence[Path]:
    """Replay the wanted accounts on all processors, with a bar; returns the files of their rows. What an earlier run
    finished isn't done again. Raises `HealthError`.
    """
    with bar("Replaying", plan.log.contents.events) as advance:
        return LocalEngine().run(plan.log, plan.task, advance)


async def write_plan(plan: HistoryPlan, files: Sequence[Path], settings: Settings, stop: asyncio.Event) -> Written:
    """Write the rows in `files`, with a bar, and delete the files. Raises `HealthError`, and `StoppedError` between two
    accounts: what is written is kept.
    """
    async with _connected(settings) as engine:
        writer = HistoryWriter(engine, plan.policy, plan.wanted, plan.first_kept)
        rows = sum(pq.read_metadata(file).num_rows for file in files)
        with bar("Writing history", rows) as advance:
            await writer.write(_pasts(files, stop, advance))
    shutil.rmtree(results_folder(plan.log, plan.task, "local"), ignore_errors=True)
    return writer.written


def _pasts(files: Sequence[Path], stop: asyncio.Event, advance: Advance) -> Iterator[Past]:
    # File by file: nobody needs them in the order of accounts, and side by side they take more memory.
    parts = (row for file in files for batch in read_results([file]) for row in history_rows(batch))
    for _, rows in groupby(parts, key=lambda row: row.account_id):
        if stop.is_set():
            raise StoppedError("Stopped while writing history. Run the same command again to go on")
        past = list(rows)
        yield past
        advance(len(past))


async def _require_schema(connection: AsyncConnection) -> None:
    if (problem := await schema_problem(connection)) is not None:
        problem, _, remedy = problem.partition(". ")
        raise HealthError(problem, remedy)


def _said_before(_: str) -> None:
    """The load has said it."""


@asynccontextmanager
async def _connected(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """Postgres, its errors with remedies."""
    engine = create_engine(settings, "load", by_key=True)
    try:
        yield engine
    except (DBAPIError, OSError) as error:
        raise to_operator_error(error) from error
    finally:
        await engine.dispose()
