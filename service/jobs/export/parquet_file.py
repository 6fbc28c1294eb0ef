"""A Parquet file that appears whole or not at all, with the schema of a view."""

import os
import re
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from service.runtime.errors import HealthError
from service.storage.access.exports import ViewColumn

_TYPES = {
    "text": pa.string(),
    "uuid": pa.string(),
    "jsonb": pa.string(),
    "boolean": pa.bool_(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "double precision": pa.float64(),
    "date": pa.date32(),
    "timestamp with time zone": pa.timestamp("us", tz="UTC"),
}
_NUMERIC = re.compile(r"numeric\((\d+),(\d+)\)")


def schema_of(columns: Sequence[ViewColumn], keys: Collection[str], metadata: dict[str, str]) -> pa.Schema:
    """The schema: only the keys are not nullable; each field's metadata describes it."""
    return pa.schema([_field(column, column.name not in keys) for column in columns], metadata)


def _field(column: ViewColumn, nullable: bool) -> pa.Field:
    comment = {"description": column.comment} if column.comment else None
    return pa.field(column.name, _type(column.type), nullable=nullable, metadata=comment)


def _type(written: str) -> pa.DataType:
    """The Arrow type of a Postgres type; KeyError for one that no view has."""
    if numeric := _NUMERIC.fullmatch(written):
        return pa.decimal128(int(numeric[1]), int(numeric[2]))
    return _TYPES[written]


ROW_GROUP = 100_000


class ParquetFile:
    """Rows go to a hidden file beside `path`, which `publish` renames; an unpublished one is removed."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        """Create the hidden file; raises `HealthError` if it can't be written."""
        self.path = path
        self.rows = 0
        self._schema = schema
        self._waiting: list[pa.RecordBatch] = []
        with _as_health_error(path):
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".unfinished")
            os.close(handle)
            self._unfinished = Path(name)
            self._unfinished.chmod(0o666 & ~_umask())
            self._writer = pq.ParquetWriter(name, schema, compression="zstd")

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        """Add rows, of values in the schema's order; raises `HealthError` if that fails."""
        columns = zip(*rows, strict=True)
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=True)]
        self._waiting.append(pa.RecordBatch.from_arrays(arrays, schema=self._schema))
        self.rows += len(rows)
        if sum(batch.num_rows for batch in self._waiting) >= ROW_GROUP:
            self._flush()

    def finish(self) -> None:
        """Write the rest and make sure that it is on disk."""
        self._flush()
        with _as_health_error(self.path):
            self._writer.close()
            with self._unfinished.open("rb") as file:
                os.fsync(file.fileno())

    def publish(self) -> None:
        """Give a finished file its name, replacing an existing one."""
        with _as_health_error(self.path):
            self._unfinished.replace(self.path)

    def _flush(self) -> None:
        batches, self._waiting = self._waiting, []
        if not batches:
            return  # not a row group of no rows
        with _as_health_error(self.path):
            self._writer.write_table(pa.Table.from_batches(batches, self._schema), row_group_size=ROW_GROUP)

    def __enter__(self) -> "ParquetFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the file if it hasn't been published."""
        with suppress(OSError):  # of a full disk, which was reported before
            self._writer.close()
        self._unfinished.unlink(missing_ok=True)


@contextmanager
def folder_of(path: Path) -> Iterator[None]:
    """Create the folder of a file if it doesn't exist; if it is still empty in the end it is removed.

    Raises `HealthError` if it can't be created.
    """
    folder, is_new = path.parent, not path.parent.exists()
    if is_new:
        with _as_health_error(path):
            folder.mkdir()
    try:
        yield
    finally:
        if is_new:
            with suppress(OSError):  # files are in it
                folder.rmdir()


@contextmanager
def _as_health_error(path: Path) -> Iterator[None]:
    """Raise an error of the file system as one for people."""
    try:
        yield
    except OSError as error:
        raise HealthError(
            f"{path} can't be written: {error.strerror or error}", "Give another place with --output"
        ) from None


def _umask() -> int:
    """The process's umask, which can't be read without setting it."""
    current = os.umask(0)
    os.umask(current)
    return current
