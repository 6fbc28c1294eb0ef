"""Finds statements of the service that wait for a lock, and the session that holds it."""

from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


class LockWait(NamedTuple):
    """The session of the service that has waited longest, and the first of those that block it.

    `holder` is the application name of the other session, `table` the locked table, if Postgres tells.
    """

    seconds: float
    waiting: str
    pid: int
    holder: str | None
    table: str | None


_LONGEST = text("""
    WITH longest AS MATERIALIZED (
        SELECT waiting.pid, waiting.application_name, lock.relation, clock_timestamp() - lock.waitstart AS waited
        FROM pg_stat_activity AS waiting JOIN pg_locks AS lock ON lock.pid = waiting.pid
        WHERE NOT lock.granted AND lock.waitstart IS NOT NULL AND waiting.datname = current_database()
          AND waiting.application_name LIKE 'account-health %'
        ORDER BY waited DESC LIMIT 1
    )
    SELECT extract(epoch FROM longest.waited)::float8 AS seconds, longest.application_name AS waiting,
           blocking.pid, holder.application_name AS holder, longest.relation::regclass::text AS table
    FROM longest
    CROSS JOIN LATERAL (SELECT pid FROM unnest(pg_blocking_pids(longest.pid)) AS pid LIMIT 1) AS blocking
    LEFT JOIN pg_stat_activity AS holder ON holder.pid = blocking.pid
""")


async def longest(connection: AsyncConnection) -> LockWait | None:
    """The longest wait at this moment, or None if no process of the service waits."""
    row = (await connection.execute(_LONGEST)).one_or_none()
    return None if row is None else LockWait._make(row)
