"""Event logs in Parquet: any table, with columns mapped to the fields of events."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct

from service.jobs.load.arrow_columns import FAULTS, is_naive, unusable_reason, values_and_faults
from service.jobs.load.column_mapping import Mapping
from service.jobs.load.event_fields import fields_of
from service.jobs.load.file_type import HEAD_BYTES, form_of
from service.jobs.load.row_validation import CHUNK_ROWS, EventDraft, EventDrafts, RefusedRow
from service.jobs.load.terminal import readable, reason_of
from service.jobs.load.times import moved_source, zone_of
from service.jobs.load.values import plain_constant
from service.messaging.cloudevents import type_of
from service.runtime.errors import HealthError

MOST_COLUMN_BYTES = 1 << 30
"""The most bytes that a column may unpack to in one row group; writers usually make a tenth of that at most."""

_encode = msgspec.json.Encoder().encode


class _Event(Struct, gc=False):
    """A CloudEvent as it is written; missing values are for the check to report."""

    id: str | None
    source: str | None
    type: str
    subject: str | None
    time: str | None
    data: Any
    backfill: bool = True
    specversion: Literal["1.0"] = "1.0"


class ParquetLog:
    """A Parquet file read through a mapping. It is open only while it is read, as a folder may hold thousands."""

    def __init__(self, path: Path, mapping: Mapping) -> None:
        """Read the file's schema. Raises `HealthError` if it isn't Parquet, or if the mapping doesn't fit its
        columns.
        """
        self.path = path
        self._mapping = mapping
        self._zone = zone_of(mapping.timezone)
        with self._reading() as file:
            schema = file.schema_arrow
            self.rows: int | None = file.metadata.num_rows
            _require_columns(path, schema, mapping)
            _require_bounded(path, file.metadata, set(mapping.columns.values()))
        fields = fields_of(mapping.signal)
        self.naive = [
            column
            for name, column in mapping.columns.items()
            if self._zone is None and is_naive(schema.field(column).type, fields[name].kind)
        ]
        self._paths = {name: f"data.{name}" if fields[name].in_data else name for name in mapping.columns}
        # Without defaults a null stays out of the event.
        self._data = msgspec.defstruct(
            "Data", [(name, Any, None) for name in mapping.data_fields], omit_defaults=True, gc=False
        )

    def drafts(self, first_row: int, source: str, shift_days: int) -> Iterator[EventDrafts]:
        """See `EventLog`."""
        row = first_row
        columns = {self._paths[name]: readable(column) for name, column in self._mapping.columns.items()}
        for batch in self._batches(first_row):
            drafts, faults = self._drafts(batch, row, source, shift_days)
            refused = [RefusedRow(at, reason) for at, reason in sorted(faults.items())]
            row += len(batch)
            yield EventDrafts(row, [draft for draft in drafts if draft.row not in faults], refused, columns)

    @contextmanager
    def _reading(self) -> Iterator[pq.ParquetFile]:
        try:
            with self.path.open("rb") as file:
                form = form_of(file.read(HEAD_BYTES))
            if form is not None and form.name != "Parquet":
                raise HealthError(f"{self.path} can't be read as Parquet: it holds {form.name}", form.remedy)
            with pq.ParquetFile(self.path) as opened:
                yield opened
        except (*FAULTS, MemoryError) as error:
            raise _unreadable(self.path, error) from None

    def _batches(self, first_row: int) -> Iterator[pa.RecordBatch]:
        columns = sorted(set(self._mapping.columns.values()))
        with self._reading() as file:
            groups, skip = _from_row(file.metadata, first_row)
            for batch in file.iter_batches(CHUNK_ROWS, row_groups=groups, columns=columns):
                if skip < len(batch):
                    yield batch.slice(skip)
                skip = max(skip - len(batch), 0)

    def _drafts(
        self, batch: pa.RecordBatch, first_row: int, source: str, shift_days: int
    ) -> tuple[list[EventDraft], dict[int, str]]:
        """A draft of every row, and the faults of those that can't be events."""
        signal = self._mapping.signal
        fields = fields_of(signal)
        rows = range(first_row, first_row + len(batch))
        faults: dict[int, str] = {}
        filled: dict[str, Iterable[Any]] = {"id": map(str, rows), "source": [source] * len(batch)}
        for name, column in self._mapping.columns.items():
            filled[name], bad = values_and_faults(batch.column(column), fields[name].kind, shift_days, self._zone)
            for position, reason in bad.items():
                fault = f"{self._paths[name]}: {readable(reason)} (column {readable(column)})"
                faults.setdefault(first_row + position, fault)
        for name, text in self._mapping.constants.items():
            filled[name] = [plain_constant(text, fields[name].kind, shift_days, self._zone)] * len(batch)
        if shift_days:
            filled["source"] = [text and moved_source(text, shift_days) for text in filled["source"]]
        in_data = [filled[name] for name in self._mapping.data_fields]
        data = map(self._data, *in_data) if in_data else (self._data() for _ in rows)
        # Loops of C functions: half the time of a Python loop that builds dictionaries.
        events = map(
            _Event, filled["id"], filled["source"], repeat(type_of(signal)), filled["subject"], filled["time"], data
        )
        return list(map(EventDraft, rows, repeat(signal), filled["subject"], map(_encode, events))), faults


def _from_row(metadata: pq.FileMetaData, first_row: int) -> tuple[list[int], int]:
    """The row groups from that of `first_row` on, and the number of rows of the first one before it."""
    skip = first_row - 1
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if skip < rows:
            return list(range(group, metadata.num_row_groups)), skip
        skip -= rows
    return [], 0


def _require_columns(path: Path, schema: pa.Schema, mapping: Mapping) -> None:
    for name, column in mapping.columns.items():
        found = schema.get_all_field_indices(column)
        if not found:
            raise HealthError(
                f"--column {name}={column}: {path} has no column {column}",
                readable(f"It has {', '.join(schema.names)}"),
            )
        if len(found) > 1:
            raise HealthError(f"--column {name}={column}: {path} has {len(found)} columns of that name", "Rename them")
        if why := unusable_reason(schema.field(found[0]).type, fields_of(mapping.signal)[name].kind):
            raise HealthError(f"--column {name}={column}: {path} can't fill {name} from it: {why}")


def _require_bounded(path: Path, metadata: pq.FileMetaData, names: set[str]) -> None:
    """Raise `HealthError` if a row group declares a column that would unpack to too much memory."""
    for group in range(metadata.num_row_groups):
        row_group = metadata.row_group(group)
        for index in range(row_group.num_columns):
            column = row_group.column(index)
            if column.path_in_schema in names and column.total_uncompressed_size > MOST_COLUMN_BYTES:
                raise HealthError(
                    f"{path} can't be read in bounded memory: column {readable(column.path_in_schema)} unpacks to"
                    f" {column.total_uncompressed_size:,} bytes in row group {group + 1}",
                    "Write it with smaller row groups, for example pyarrow's write_table(…, row_group_size=100_000)",
                )


def _unreadable(path: Path, error: Exception) -> HealthError:
    return HealthError(
        f"{path} can't be read as Parquet: {reason_of(error)}", "Check that it is complete, and a Parquet file"
    )
