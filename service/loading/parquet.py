"""Event logs in Parquet: any table, whose columns are mapped to the fields of events."""

from collections.abc import Iterable, Iterator
from itertools import repeat
from pathlib import Path
from typing import Any, Literal

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct

from service.cloudevents import type_of
from service.errors import HealthError
from service.loading.columns import plain_constant, plain_values, why_unusable
from service.loading.drafts import CHUNK_ROWS, Draft, Drafts
from service.loading.fields import fields_of
from service.loading.mapping import Mapping
from service.loading.shifting import moved_source

_encode = msgspec.json.Encoder().encode


class _Event(Struct, gc=False):
    """A CloudEvent as it is written; what a null leaves empty is for the check to name."""

    id: str | None
    source: str | None
    type: str
    subject: str | None
    time: str | None
    data: Any
    backfill: bool = True
    specversion: Literal["1.0"] = "1.0"


class ParquetLog:
    """A Parquet file read through a mapping."""

    def __init__(self, path: Path, mapping: Mapping) -> None:
        """Open the file. Raises `HealthError` if it isn't Parquet, or if the mapping doesn't fit its columns."""
        self.path = path
        self._mapping = mapping
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(path, error) from None
        _require_columns(path, self._file.schema_arrow, mapping)
        # Without defaults a null stays out of the event.
        self._data = msgspec.defstruct(
            "Data", [(name, Any, None) for name in mapping.data_fields], omit_defaults=True, gc=False
        )

    @property
    def rows(self) -> int:
        """How many rows there are."""
        rows: int = self._file.metadata.num_rows
        return rows

    def drafts(self, first_row: int, source: str, shift_days: int) -> Iterator[Drafts]:
        """See `EventLog`."""
        row = first_row
        for batch in self._batches(first_row):
            try:
                drafts = self._drafts(batch, row, source, shift_days)
            except pa.ArrowException as error:
                raise _unreadable(self.path, error) from None
            row += len(batch)
            yield Drafts(row, drafts, [])

    def _batches(self, first_row: int) -> Iterator[pa.RecordBatch]:
        groups, skip = self._from_row(first_row)
        columns = sorted(set(self._mapping.columns.values()))
        try:
            for batch in self._file.iter_batches(CHUNK_ROWS, row_groups=groups, columns=columns):
                if skip < len(batch):
                    yield batch.slice(skip)
                skip = max(skip - len(batch), 0)
        except (pa.ArrowException, OSError) as error:
            raise _unreadable(self.path, error) from None

    def _from_row(self, first_row: int) -> tuple[list[int], int]:
        """The row groups from that of `first_row` on, and how many rows of the first one come before it."""
        skip = first_row - 1
        metadata = self._file.metadata
        for group in range(metadata.num_row_groups):
            rows = metadata.row_group(group).num_rows
            if skip < rows:
                return list(range(group, metadata.num_row_groups)), skip
            skip -= rows
        return [], 0

    def _drafts(self, batch: pa.RecordBatch, first_row: int, source: str, shift_days: int) -> list[Draft]:
        signal = self._mapping.signal
        fields = fields_of(signal)
        rows = range(first_row, first_row + len(batch))
        filled: dict[str, Iterable[Any]] = {"id": map(str, rows), "source": [source] * len(batch)}
        for name, column in self._mapping.columns.items():
            filled[name] = plain_values(batch.column(column), fields[name].kind, shift_days)
        for name, text in self._mapping.constants.items():
            filled[name] = [plain_constant(text, fields[name].kind, shift_days)] * len(batch)
        if shift_days:
            filled["source"] = [text and moved_source(text, shift_days) for text in filled["source"]]
        in_data = [filled[name] for name in self._mapping.data_fields]
        data = map(self._data, *in_data) if in_data else (self._data() for _ in rows)
        # Loops of C functions: half the time of a Python loop that builds dictionaries.
        events = map(
            _Event, filled["id"], filled["source"], repeat(type_of(signal)), filled["subject"], filled["time"], data
        )
        return list(map(Draft, rows, repeat(signal), filled["subject"], map(_encode, events)))


def _require_columns(path: Path, schema: pa.Schema, mapping: Mapping) -> None:
    for name, column in mapping.columns.items():
        found = schema.get_all_field_indices(column)
        if not found:
            raise HealthError(
                f"--column {name}={column}: {path} has no column {column}", f"It has {', '.join(schema.names)}"
            )
        if len(found) > 1:
            raise HealthError(f"--column {name}={column}: {path} has {len(found)} columns of that name", "Rename them")
        if why := why_unusable(schema.field(found[0]).type, fields_of(mapping.signal)[name].kind):
            raise HealthError(f"--column {name}={column}: {path} can't fill {name} from it: {why}")


def _unreadable(path: Path, error: Exception) -> HealthError:
    reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
    return HealthError(f"{path} can't be read as Parquet: {reason}", "Check that it is complete, and a Parquet file")
