"""Reads the views for analysts, row by row, for `account-health export`."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

CHUNK = 20_000
"""Rows in memory at once; they take some 40 MB as Python objects."""


class ViewColumn(NamedTuple):
    """A column of a view: its name, its type as Postgres writes it, and its description."""

    name: str
    type: str
    comment: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportView:
    """A view to be read. `keys` are its columns that are never null.

    `days` limits it to the days from :first to :last, if possible. `order` is for small views, or those with an index;
    the others come in the order in which they are stored, as sorting would take longer than reading.
    """

    view: str
    keys: tuple[str, ...]
    days: str | None = None
    order: str | None = None


HEALTH = ExportView(view="analytics.account_health", keys=("account_id",), order="account_id")
DAILY = ExportView(
    view="analytics.account_health_daily",
    keys=("account_id", "day", "run_first_day", "run_last_day"),
    # The bounds of runs are tested too, so that only the months of these days are read.
    days="day BETWEEN :first AND :last AND run_last_day >= :first AND run_first_day <= :last",
)
MEASURES = ExportView(view="analytics.account_measures", keys=("account_id", "name"))
ALERTS = ExportView(
    view="analytics.alerts",
    keys=("id", "created_at"),
    days="created_at >= CAST(CAST(:first AS date) AS timestamp) AT TIME ZONE 'UTC'"
    " AND created_at < CAST(CAST(:last AS date) + 1 AS timestamp) AT TIME ZONE 'UTC'",
    order="created_at, id",
)

_COLUMNS = text("""
    SELECT attname, format_type(atttypid, atttypmod), col_description(attrelid, attnum)
    FROM pg_attribute WHERE attrelid = to_regclass(:view) AND attnum > 0 AND NOT attisdropped ORDER BY attnum
""")


async def columns(connection: AsyncConnection, source: ExportView) -> list[ViewColumn]:
    """The columns of a view, in order; none if it doesn't exist."""
    return list(map(ViewColumn._make, await connection.execute(_COLUMNS, {"view": source.view})))


async def count(connection: AsyncConnection, source: ExportView, first: date, last: date) -> int:
    """The number of rows to read."""
    statement = text(f"SELECT count(*) FROM {source.view} {_where(source)}")  # noqa: S608 - made of this module's own text
    return int((await connection.execute(statement, _values(source, first, last))).scalar_one())


async def rows(
    connection: AsyncConnection, source: ExportView, wanted: Sequence[ViewColumn], first: date, last: date
) -> AsyncIterator[Sequence[Sequence[Any]]]:
    """All rows, in chunks, as of one moment; from a cursor, so that they are never all in memory.

    Types that Parquet lacks are read as text.
    """
    selected = ", ".join(
        f'CAST("{column.name}" AS text)' if column.type in {"uuid", "jsonb"} else f'"{column.name}"'
        for column in wanted
    )
    order = f"ORDER BY {source.order}" if source.order else ""
    statement = text(f"SELECT {selected} FROM {source.view} {_where(source)} {order}")  # noqa: S608 - as above
    result = await connection.stream(statement, _values(source, first, last))
    async for chunk in result.partitions(CHUNK):
        yield chunk


def _where(source: ExportView) -> str:
    return f"WHERE {source.days}" if source.days else ""


def _values(source: ExportView, first: date, last: date) -> dict[str, date]:
    return {"first": first, "last": last} if source.days else {}
