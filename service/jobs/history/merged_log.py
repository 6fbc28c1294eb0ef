"""Several logs as one, for the past of accounts whose events came with more than one load."""

import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow.parquet as pq
from xxhash import xxh3_64_hexdigest

from service.jobs.backtest.account_events import ACCOUNT
from service.jobs.backtest.event_log import partitions_for_events
from service.jobs.backtest.partitioned_log import (
    Contents,
    PartitionedLog,
    PartitionWriter,
    find_log,
    finish_log,
    unfinished_folder,
)

_ROWS = 10_000
"""The number of events that are in memory at a time."""


def merge_logs(logs: Sequence[PartitionedLog], folder: Path) -> PartitionedLog:
    """One log with the events of all, those of the first one first; kept in `folder`, the only one there.

    An event that is in several of them counts once, as everywhere. Raises `HealthError` if the folder can't be written.
    """
    digest = xxh3_64_hexdigest(repr([log.contents.digest for log in logs]).encode())
    for other in folder.glob("[!.]*"):
        if other.name != digest:
            shutil.rmtree(other, ignore_errors=True)
    if (found := find_log(folder / digest)) is not None:
        return found
    with unfinished_folder(folder) as unfinished:
        writer = PartitionWriter(unfinished, partitions_for_events(sum(log.contents.events for log in logs)))
        accounts: set[str] = set()
        for events in _encoded(logs):
            writer.add_encoded(events)
            accounts.update(account_id for account_id, _, _ in events)
        writer.close()
        contents = Contents(
            digest,
            writer.written,
            len(accounts),
            min(log.contents.first_day for log in logs),
            max(log.contents.newest for log in logs),
            sum(log.contents.skipped for log in logs),
        )
        return finish_log(unfinished, contents)


def _encoded(logs: Sequence[PartitionedLog]) -> Iterator[list[tuple[str, int, bytes]]]:
    for log in logs:
        for number in range(len(log.contents.partitions)):
            with pq.ParquetFile(log.partition(number)) as file:
                for batch in file.iter_batches(_ROWS, columns=[ACCOUNT, "kind", "event"]):
                    yield list(zip(*(column.to_pylist() for column in batch.columns), strict=True))
