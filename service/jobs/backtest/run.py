"""Replays an event log: its events by account, an engine, and rows in order of account and day."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Protocol

import pyarrow as pa

from scoring.rules.policy import Policy
from scoring.state.calendar import MICROSECONDS_PER_DAY
from service.jobs.backtest.engine_local import LocalEngine
from service.jobs.backtest.partitioned_log import PartitionedLog
from service.jobs.backtest.policy_codec import encode_policy
from service.jobs.backtest.replay_task import AccountTask, ReplayRow, ReplayTask, replay_rows
from service.jobs.backtest.result_files import read_results
from service.jobs.load.terminal import Advance, bar
from service.runtime.errors import require_spark_extra


class Engine(Protocol):
    """Runs a task on each account of a log."""

    def run(self, log: PartitionedLog, task: AccountTask, advance: Advance) -> Sequence[Path]:
        """The files of the task's rows. `advance` is called with numbers of events. Raises `HealthError`."""


def engine_named(name: Literal["local", "spark"], *, processes: int = 0, master: str | None = None) -> Engine:
    """The engine; `master` is Spark's address. Raises `HealthError` if it isn't installed."""
    if name == "local":
        return LocalEngine(processes)
    require_spark_extra("--engine spark")
    from service.jobs.backtest.engine_spark import SparkEngine

    return SparkEngine(master)


def replay_log(
    log: PartitionedLog,
    policy: Policy,
    engine: Engine,
    *,
    until: int | None = None,
    full: bool = False,
    advance: Advance | None = None,
) -> Iterator[ReplayRow]:
    """Every day of every account, judged by `policy`, in order of account and day; the events come from
    `partition_log`.

    `until` is the time in microseconds at which the replay ends: by default the end of the log's last day. `advance` is
    called with numbers of events; by default a bar shows them. Raises `HealthError`.
    """
    end = (log.contents.newest // MICROSECONDS_PER_DAY + 1) * MICROSECONDS_PER_DAY - 1
    task = ReplayTask(encode_policy(policy), end if until is None else until, full)
    for batch in run_task_on(log, task, engine, advance):
        yield from replay_rows(batch)


def run_task_on(
    log: PartitionedLog, task: AccountTask, engine: Engine, advance: Advance | None = None
) -> Iterator[pa.RecordBatch]:
    """The task's rows of every account, in order of account and day. See `replay_log`."""
    if advance is not None:
        files = engine.run(log, task, advance)
    else:
        with bar("Replaying", log.contents.events) as shown:
            files = engine.run(log, task, shown)
    yield from read_results(files)
