"""A checked log whose events lie in files by account: all events of an account are in one of them."""

import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct
from xxhash import xxh3_64_intdigest

from scoring.state.events import Event
from service.jobs.backtest.account_events import ACCOUNT, SCHEMA, encode_event
from service.runtime.errors import HealthError

FLUSH_ROWS = 40_000
"""The number of events that wait in memory before they are written."""


ABANDONED_SECONDS = 86_400.0
"""No log takes so long to be written."""
_UNFINISHED = ".log."


class Contents(Struct, forbid_unknown_fields=True):
    """The contents of a log, in numbers. `partitions` has the number of events in each file."""

    digest: str
    partitions: list[int]
    accounts: int
    first_day: int
    newest: int
    """The time of the newest event, in microseconds."""
    skipped: int
    """The number of rows that can't be events."""

    @property
    def events(self) -> int:
        """The number of events, copies included."""
        return sum(self.partitions)


class PartitionedLog(Struct, frozen=True):
    """A folder with a file of events for each partition, and room for results."""

    folder: Path
    contents: Contents

    @property
    def events_folder(self) -> Path:
        """The folder of the event files alone."""
        return events_folder(self.folder)

    def partition(self, number: int) -> Path:
        """The file of a partition."""
        return partition_file(self.folder, number)


def events_folder(folder: Path) -> Path:
    """The folder of the event files of a log in `folder`."""
    return folder / "events"


def partition_file(folder: Path, number: int) -> Path:
    """The file of a partition of a log in `folder`."""
    return events_folder(folder) / f"part-{number:04}.parquet"


def find_log(folder: Path) -> PartitionedLog | None:
    """The log that was written to `folder`; None if it isn't there, or not whole."""
    try:
        contents = msgspec.json.decode(_manifest(folder).read_bytes(), type=Contents)
    except (OSError, msgspec.DecodeError):
        return None
    return PartitionedLog(folder, contents)


def accounts_of(log: PartitionedLog) -> list[str]:
    """The accounts of a log, each once, without reading their events."""
    return [
        account
        for number in range(len(log.contents.partitions))
        for account in pq.read_table(log.partition(number), columns=[ACCOUNT])[ACCOUNT].unique().to_pylist()
    ]


@contextmanager
def unfinished_folder(parent: Path) -> Iterator[Path]:
    """A hidden folder in `parent` for a log that is being written, removed with what is left in it at the end.

    Those that killed processes left more than a day ago are removed, too. Raises `HealthError` if it can't be written.
    """
    unfinished: Path | None = None
    try:
        parent.mkdir(parents=True, exist_ok=True)
        for left in parent.glob(f"{_UNFINISHED}*"):
            if time.time() - left.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
        unfinished = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=parent))
        yield unfinished
    except OSError as error:
        raise unwritable(f"The working folder {parent}", error) from None
    finally:
        if unfinished is not None:
            shutil.rmtree(unfinished, ignore_errors=True)


def finish_log(unfinished: Path, contents: Contents) -> PartitionedLog:
    """Note what a log holds whose events are all written, and name it by its digest, unless another run was sooner."""
    _manifest(unfinished).write_bytes(msgspec.json.encode(contents))
    folder = unfinished.parent / contents.digest
    if find_log(folder) is None:
        shutil.rmtree(folder, ignore_errors=True)
        unfinished.replace(folder)
    return PartitionedLog(folder, contents)


def _manifest(folder: Path) -> Path:
    return folder / "contents.json"


def unwritable(what: str, error: OSError) -> HealthError:
    """The error of `what`, a place in the working folder, that can't be written."""
    return HealthError(
        f"{what} can't be written: {error.strerror or error}",
        "Free some room there, or give another folder with --work-dir",
    )


class PartitionWriter:
    """Writes events to the files of their accounts' partitions, a bounded number at a time."""

    def __init__(self, folder: Path, partitions: int) -> None:
        """Create the files. Raises `OSError` if that fails."""
        events_folder(folder).mkdir(parents=True)
        self.written = [0] * partitions
        self._position = 0
        self._waiting: list[list[tuple[str, int, int, bytes]]] = [[] for _ in range(partitions)]
        self._number = 0
        self._writers = [
            pq.ParquetWriter(partition_file(folder, number), SCHEMA, compression="zstd", use_dictionary=[ACCOUNT])
            for number in range(partitions)
        ]

    def add(self, events: Sequence[Event]) -> None:
        """Add the next events of the log."""
        self.add_encoded((event.account_id, *encode_event(event)) for event in events)

    def add_encoded(self, events: Iterable[tuple[str, int, bytes]]) -> None:
        """Add the next events of the log: accounts, kinds and events, as `encode_event` makes them."""
        for account_id, kind, event in events:
            partition = xxh3_64_intdigest(account_id.encode()) % len(self._waiting)
            self._waiting[partition].append((account_id, self._position, kind, event))
            self._position += 1
            self._number += 1
        if self._number >= FLUSH_ROWS:
            self._flush()

    def close(self) -> None:
        """Write the rest."""
        self._flush()
        for writer in self._writers:
            writer.close()

    def _flush(self) -> None:
        for number, rows in enumerate(self._waiting):
            if rows:
                columns = zip(*rows, strict=True)
                arrays = [pa.array(column, field.type) for column, field in zip(columns, SCHEMA, strict=True)]
                self._writers[number].write_table(pa.Table.from_arrays(arrays, schema=SCHEMA))
                self.written[number] += len(rows)
                rows.clear()
        self._number = 0
