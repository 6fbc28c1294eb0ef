"""Results of engines: files of rows that are each in order of account and day, read together in that order."""

import heapq
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from xxhash import xxh3_64_hexdigest

from service.jobs.backtest.account_events import ACCOUNT
from service.jobs.backtest.partitioned_log import PartitionedLog, unwritable
from service.jobs.backtest.replay_task import AccountTask
from service.jobs.load.terminal import reason_of
from service.runtime.errors import HealthError

_BATCH_ROWS = 1_000
"""The number of rows of each file that are in memory at a time."""

_UNUSABLE = (pa.ArrowException, OSError)


def results_folder(log: PartitionedLog, task: AccountTask, engine: str) -> Path:
    """The folder of an engine's results of a task on a log: another task, log or version of the code has another."""
    return log.folder / "results" / f"{engine}-{xxh3_64_hexdigest(task.digest)}"


def is_finished(file: Path) -> bool:
    """True if `file` holds a whole result."""
    try:
        with pq.ParquetFile(file):
            return True
    except _UNUSABLE:
        return False


def write_result(file: Path, rows: pa.Table) -> None:
    """Write a result that appears whole or not at all. Raises `HealthError`."""
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, unfinished, compression="zstd", row_group_size=100_000)
        unfinished.replace(file)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise unwritable(f"The result {file}", error) from None


def read_results(files: Sequence[Path]) -> Iterator[pa.RecordBatch]:
    """The rows of all files, an account's together, in order of account and day. Raises `HealthError`.

    An account is in one file only.
    """
    for _, part in heapq.merge(*(_parts(file) for file in files), key=lambda part: part[0]):
        yield part


def _parts(file: Path) -> Iterator[tuple[str, pa.RecordBatch]]:
    """The rows of a file, cut wherever another account begins."""
    try:
        with pq.ParquetFile(file) as opened:
            for batch in opened.iter_batches(_BATCH_ROWS):
                start = 0
                for run in batch.column(ACCOUNT).value_counts():
                    length = run["counts"].as_py()
                    yield run["values"].as_py(), batch.slice(start, length)
                    start += length
    except _UNUSABLE as error:
        raise HealthError(
            f"The result {file} can't be read: {reason_of(error)}", "Delete it, and run the command again"
        ) from None
