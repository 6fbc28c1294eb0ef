"""The partitions of `history`: a table for each month, and a default one for all other days."""

import re
from datetime import date, timedelta
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

_LOCK_KEY = 0x686973746F7279  # "history"
_NAME = re.compile(r"history_(\d{4})_(\d\d)")
_LOCK_NOT_AVAILABLE = "55P03"


class Month(NamedTuple):
    """A calendar month."""

    year: int
    month: int

    @classmethod
    def of(cls, day: date) -> "Month":
        """The month of a day."""
        return cls(day.year, day.month)

    @property
    def following(self) -> "Month":
        """The month after it."""
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    @property
    def first_day(self) -> date:
        """Its first day."""
        return date(self.year, self.month, 1)

    @property
    def partition(self) -> str:
        """Its table."""
        return f"history_{self.year:04}_{self.month:02}"

    @property
    def bounds(self) -> str:
        """Its days, as a range of SQL: from, including, to, excluding."""
        return f"FROM ('{self.first_day}') TO ('{self.following.first_day}')"


def first_kept(today: date, retention_days: int) -> date:
    """The first of the `retention_days` days that end with `today`."""
    return today - timedelta(days=retention_days - 1)


async def acquire_lock(connection: AsyncConnection, lock_timeout_ms: int) -> bool:
    """Lock the partitions against other processes until the transaction ends; False if another has them.

    No lock is waited for longer than `lock_timeout_ms`, as all later requests queue behind a waiting one.
    """
    # Rows are moved by their day, for which there is no index.
    await connection.execute(
        text("SELECT set_config('lock_timeout', :timeout, true), set_config('enable_seqscan', 'on', true)"),
        {"timeout": f"{lock_timeout_ms}ms"},
    )
    return bool(
        (await connection.execute(text("SELECT pg_try_advisory_xact_lock(:turn)"), {"turn": _LOCK_KEY})).scalar()
    )


async def months(connection: AsyncConnection) -> list[Month]:
    """The months that have a partition, in order."""
    names = await connection.execute(
        text("SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = 'history'::regclass")
    )
    found = map(_NAME.fullmatch, names.scalars())
    return sorted(Month(int(match[1]), int(match[2])) for match in found if match)


async def block_writers(connection: AsyncConnection) -> None:
    """Block writers of history until the transaction ends; waits for those who have written.

    Call it before making a partition for days that are being written: a row on its way to the default partition would
    be refused there (https://www.postgresql.org/docs/current/sql-createtable.html, DEFAULT).
    """
    await connection.execute(text("LOCK TABLE ONLY history IN SHARE ROW EXCLUSIVE MODE"))


async def in_default(connection: AsyncConnection, month: Month, most: int) -> int:
    """The number of a month's rows in the default partition, counted up to `most`."""
    statement = text("""
        SELECT count(*) FROM (SELECT FROM history_default WHERE day >= :first AND day < :end LIMIT :most) AS found
    """)
    values = {"first": month.first_day, "end": month.following.first_day, "most": most}
    return int((await connection.execute(statement, values)).scalar_one())


async def create(connection: AsyncConnection, month: Month) -> int:
    """Create a month's partition and move its rows there from the default one; returns their number.

    It is created apart and attached, so it takes no lock of `history` that writers and readers would notice.
    """
    # Before anything is moved, and in the common lock order.
    await connection.execute(text("LOCK TABLE ONLY history IN SHARE UPDATE EXCLUSIVE MODE"))
    await connection.execute(text("LOCK TABLE history_default IN ACCESS EXCLUSIVE MODE"))
    await connection.execute(text(f"CREATE TABLE {month.partition} (LIKE history INCLUDING ALL)"))
    moved = await connection.execute(
        text(f"""
            WITH moved AS (DELETE FROM history_default WHERE day >= :first AND day < :end RETURNING *)
            INSERT INTO {month.partition} SELECT * FROM moved
        """),  # noqa: S608 - a name made of two numbers
        {"first": month.first_day, "end": month.following.first_day},
    )
    await connection.execute(text(f"ALTER TABLE history ATTACH PARTITION {month.partition} FOR VALUES {month.bounds}"))
    return moved.rowcount


async def drop(connection: AsyncConnection, month: Month) -> None:
    """Drop a month's partition with its rows. For that moment nobody can read or write history."""
    await connection.execute(text(f"DROP TABLE {month.partition}"))


_DELETE = text("""
    DELETE FROM history_default
    WHERE ctid = ANY(ARRAY(SELECT ctid FROM history_default WHERE day < :first LIMIT :limit))
""")


async def delete_before(connection: AsyncConnection, first: date, limit: int) -> int:
    """Delete up to `limit` rows of days before `first` from the default partition; returns their number."""
    return (await connection.execute(_DELETE, {"first": first, "limit": limit})).rowcount


def is_busy(error: DBAPIError) -> bool:
    """True if a lock could not be had in time."""
    return getattr(error.orig, "sqlstate", None) == _LOCK_NOT_AVAILABLE
