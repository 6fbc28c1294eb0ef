"""Reads an event log as `account-health load` does, checks it, and writes its events to files by account."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
from xxhash import xxh3_64_hexdigest

from service.jobs.backtest.code_fingerprint import code_fingerprint
from service.jobs.backtest.partitioned_log import (
    Contents,
    PartitionedLog,
    PartitionWriter,
    find_log,
    finish_log,
    unfinished_folder,
)
from service.jobs.load.files import LoadRequest, LogFile, examine_files, is_table, naive_columns, open_files, shift_for
from service.jobs.load.first_pass import Findings, require_valid
from service.jobs.load.messages import assumed_utc
from service.jobs.load.row_validation import check
from service.jobs.load.terminal import ProgressBar, StoppedError, bar, readable, say
from service.messaging.cloudevents import now_micros
from service.runtime.errors import HealthError

EVENTS_PER_PARTITION = 20_000
FEWEST_PARTITIONS, MOST_PARTITIONS = 8, 256
"""Files of all partitions are open at once; of more than that, some systems let a process open none."""
_EVENT_BYTES = 200
_PACKED_EVENT_BYTES = 20

NOTHING = "Nothing was replayed"


def default_folder() -> Path:
    """The folder for what can be worked out again, by the XDG base directory rules."""
    cache = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(cache) if cache.startswith("/") else Path.home() / ".cache"
    return base / "account-health" / "backtests"


async def partition_log(
    order: LoadRequest,
    max_bytes: int,
    stop: asyncio.Event,
    warn: Callable[[str], None] = say,
    progress: ProgressBar = bar,
    shifts: Mapping[Path, int] | None = None,
) -> PartitionedLog:
    """The log's events by account, in a folder in `order.state_dir`; those of an earlier run, if nothing has changed.

    `progress` shows the reading. `shifts` are the days by which each file's times move, where that is decided already.
    Raises `StoppedError` when `stop` is set, and `HealthError` if a file can't be read, has no events, or has rows that
    can't be events and aren't to be skipped.
    """
    files = open_files(order)
    if naive := naive_columns(files):
        warn(assumed_utc(naive))
    if shifts is None:
        together = shift_for(await examine_files(files, order, max_bytes, stop), order) if order.shift_to_now else 0
        shifts = {file.log.path: together for file in files}
    digest = _digest(files, order, shifts, max_bytes)
    folder = order.state_dir / digest
    if (found := find_log(folder)) is not None:
        return found
    with unfinished_folder(order.state_dir) as unfinished:
        contents = await _Partitioning(files, order, max_bytes, unfinished, progress).run(digest, shifts, stop)
        return finish_log(unfinished, contents)


class _Partitioning:
    """One pass over all files."""

    def __init__(
        self, files: Sequence[LogFile], order: LoadRequest, max_bytes: int, folder: Path, progress: ProgressBar
    ) -> None:
        self._files = files
        self._order = order
        self._max_bytes = max_bytes
        self._progress = progress
        self._writer = PartitionWriter(folder, partitions_for(files))

    async def run(self, digest: str, shifts: Mapping[Path, int], stop: asyncio.Event) -> Contents:
        findings = [await self._read(file, shifts[file.log.path], stop) for file in self._files]
        await asyncio.to_thread(self._writer.close)
        found = [each for each in findings if each.days]
        if not found:
            names = ", ".join(str(file.log.path) for file in self._files)
            raise HealthError(f"{names}: no events. {NOTHING}", "Give a log with at least one event")
        return Contents(
            digest=digest,
            partitions=self._writer.written,
            accounts=len(set().union(*(each.accounts for each in found))),
            first_day=min(min(each.days) for each in found),
            newest=max(each.newest for each in found),
            skipped=sum(each.refused for each in findings),
        )

    async def _read(self, file: LogFile, shift_days: int, stop: asyncio.Event) -> Findings:
        taken_at = now_micros()
        chunks = file.log.drafts(1, file.identity.source, shift_days)
        findings = Findings()
        with self._progress(f"Reading {readable(file.log.path.name)}", file.log.rows) as advance:
            while (drafts := await asyncio.to_thread(next, chunks, None)) is not None:
                if stop.is_set():
                    raise StoppedError(f"Stopped while reading. {NOTHING}")
                verdict = await asyncio.to_thread(check, drafts, self._max_bytes, taken_at)
                await asyncio.to_thread(self._writer.add, verdict.events)
                advance(drafts.next_row - 1 - findings.rows)
                findings.add(drafts, verdict)
        if not self._order.skip_invalid:
            require_valid(file.log, findings, NOTHING)
        return findings


def partitions_for(files: Sequence[LogFile]) -> int:
    """The number of partitions: of files that don't give their number of rows, it is estimated by their size."""
    return partitions_for_events(sum(_rows(file) for file in files))


def partitions_for_events(events: int) -> int:
    """The number of partitions of about so many events."""
    return min(max(events // EVENTS_PER_PARTITION, FEWEST_PARTITIONS), MOST_PARTITIONS)


def _rows(file: LogFile) -> int:
    path = file.log.path
    if file.log.rows is not None:
        return file.log.rows
    return path.stat().st_size // (_PACKED_EVENT_BYTES if path.name.lower().endswith(".gz") else _EVENT_BYTES)


def _digest(files: Sequence[LogFile], order: LoadRequest, shifts: Mapping[Path, int], max_bytes: int) -> str:
    """A name for the files, in their order, and all that decides which events come of them."""
    facts = [
        [(file.identity, is_table(file.log.path), shifts[file.log.path]) for file in files],
        order.signal,
        order.skip_invalid,
        max_bytes,
        code_fingerprint(),
    ]
    return xxh3_64_hexdigest(msgspec.json.encode(facts, order="deterministic"))
