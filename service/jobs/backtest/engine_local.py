"""The engine of one machine: processes that each take a partition of the log at a time."""

import gc
import multiprocessing
import signal
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct

from service.jobs.backtest.account_events import by_account
from service.jobs.backtest.partitioned_log import PartitionedLog
from service.jobs.backtest.replay_task import AccountTask, run_task
from service.jobs.backtest.result_files import is_finished, results_folder, write_result
from service.jobs.load.terminal import Advance, reason_of
from service.runtime.errors import HealthError
from service.runtime.garbage_collection import collect
from service.runtime.processors import usable_processors
from service.runtime.signals import die_with_parent


class LocalEngine(Struct, frozen=True):
    """Runs tasks in `processes` processes; 0 stands for the number of processors that this one may use."""

    processes: int = 0

    def run(self, log: PartitionedLog, task: AccountTask, advance: Advance) -> Sequence[Path]:
        """The files of the task's rows; those that an earlier run finished aren't worked out again.

        `advance` is called with numbers of events, of `log.contents.events` in all. Raises `HealthError`.
        """
        folder = results_folder(log, task, "local")
        events = log.contents.partitions
        files = [folder / f"part-{number:04}.parquet" for number in range(len(events))]
        waiting = [number for number, file in enumerate(files) if not is_finished(file)]
        advance(sum(events) - sum(events[number] for number in waiting))
        if waiting:
            self._run(task, {number: (log.partition(number), files[number]) for number in waiting}, events, advance)
        return files

    def _run(
        self, task: AccountTask, work: dict[int, tuple[Path, Path]], events: Sequence[int], advance: Advance
    ) -> None:
        # Spawned, not forked: a fork copies threads' locks, of Arrow's pools among others, as they happen to be.
        pool = ProcessPoolExecutor(
            min(self.processes or usable_processors(), len(work)),
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
        )
        try:
            running: dict[Future[None], int] = {
                pool.submit(run_partition, task, source, result): number for number, (source, result) in work.items()
            }
            for future in as_completed(running):
                future.result()
                advance(events[running[future]])
        except BrokenProcessPool:
            raise HealthError(
                "A process of the replay was ended from outside, probably for want of memory",
                "Run it again with fewer --processes; what is finished is kept",
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def run_partition(task: AccountTask, source: Path, result: Path) -> None:
    """Run the task on each account of a partition's events, and write the rows. Raises `HealthError`."""
    write_result(result, _rows(task, source))
    collect()


def _rows(task: AccountTask, source: Path) -> pa.Table:
    try:
        table = pq.read_table(source, use_threads=False, memory_map=True)  # the processes are the threads
    except (pa.ArrowException, OSError) as error:
        raise HealthError(
            f"{source} can't be read: {reason_of(error)}", f"Delete {source.parent.parent}, and run the command again"
        ) from None
    rows = [run_task(task, account) for account in by_account(table)]
    return pa.concat_tables(rows) if rows else task.schema.empty_table()


def _begin() -> None:
    """Leave Ctrl-C to the parent, and end if it dies. Memory is given back after each partition, and only then."""
    pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own keeps what is freed
    gc.freeze()
    gc.disable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()
