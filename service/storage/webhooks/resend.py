"""Sends finished deliveries again: one by hand, or all that failed in some period.

Their attempts stay and are counted on; the retry schedule restarts.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, null, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.database.tables import deliveries as table

UNLIMITED_PER_SECOND = 10.0
"""The number of deliveries per second that are recovered if the endpoint has no limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedDeliveries:
    """An endpoint's deliveries that were given up, and were created at `since` or later and before `until`."""

    endpoint_id: UUID
    since: datetime
    until: datetime | None = None


async def resend(connection: AsyncConnection, delivery_id: UUID, now: datetime) -> bool:
    """Make a finished delivery due now; False if it doesn't exist, is pending, or is being sent."""
    idle = or_(table.c.leased_until.is_(None), table.c.leased_until <= now)
    result = await connection.execute(
        update(table)
        .where(table.c.id == delivery_id, table.c.state != "pending", idle)
        # Without the lease, a late sender can't end what begins now.
        .values(
            state="pending",
            due_at=now,
            resent_at=now,
            tries=0,
            lease=null(),
            leased_until=null(),
            finished_at=null(),
        )
    )
    return result.rowcount == 1


async def count(connection: AsyncConnection, wanted: FailedDeliveries) -> int:
    """The number of deliveries that `recover` would send again."""
    found = await connection.execute(select(func.count()).select_from(table).where(_matching(wanted)))
    return found.scalar_one()


# Locked in order, so that two concurrent calls don't deadlock; the later one finds nothing left.
_RECOVER = text("""
WITH found AS MATERIALIZED (
    SELECT id, created_at FROM deliveries
    WHERE endpoint_id = :endpoint_id AND state = 'failed' AND created_at >= :since
      AND (CAST(:until AS timestamptz) IS NULL OR created_at < :until)
    ORDER BY created_at, id
    FOR UPDATE
),
placed AS (
    SELECT found.id, (row_number() OVER (ORDER BY found.created_at, found.id) - 1)
        / coalesce(endpoint.rate_limit / 2, :unlimited) AS seconds
    FROM found JOIN webhook_endpoints AS endpoint ON endpoint.id = :endpoint_id
)
UPDATE deliveries
SET state = 'pending', due_at = CAST(:now AS timestamptz) + seconds * interval '1 second', tries = 0, resent_at = :now,
    finished_at = NULL, lease = NULL, leased_until = NULL
FROM placed WHERE deliveries.id = placed.id
""")


async def recover(connection: AsyncConnection, wanted: FailedDeliveries, now: datetime) -> int:
    """Make failed deliveries due again, the oldest now and the others one by one; returns their number.

    They are spread over half the endpoint's rate limit, which leaves the other half to new alerts.
    """
    values = {**asdict(wanted), "now": now, "unlimited": UNLIMITED_PER_SECOND}
    return (await connection.execute(_RECOVER, values)).rowcount


def _matching(wanted: FailedDeliveries) -> ColumnElement[bool]:
    found = and_(
        table.c.endpoint_id == wanted.endpoint_id, table.c.state == "failed", table.c.created_at >= wanted.since
    )
    return found if wanted.until is None else and_(found, table.c.created_at < wanted.until)
