"""From the columns of a view to the schema of a Parquet file. Pure."""

import re
from collections.abc import Collection, Sequence

import pyarrow as pa

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
    """The schema: everything may be null but the keys; each field says in its metadata what it is."""
    return pa.schema([_field(column, column.name not in keys) for column in columns], metadata)


def _field(column: ViewColumn, nullable: bool) -> pa.Field:
    comment = {"description": column.comment} if column.comment else None
    return pa.field(column.name, _type(column.type), nullable=nullable, metadata=comment)


def _type(written: str) -> pa.DataType:
    """The Arrow type of one of Postgres; KeyError for one that no view has."""
    if numeric := _NUMERIC.fullmatch(written):
        return pa.decimal128(int(numeric[1]), int(numeric[2]))
    return _TYPES[written]
