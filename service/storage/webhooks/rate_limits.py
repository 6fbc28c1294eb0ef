"""Rate limits of endpoints, and pauses they asked for, shared by all delivery processes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


class EndpointRate(NamedTuple):
    """An endpoint with a rate limit. Without a `rate`, another process is claiming for it at this moment."""

    id: UUID
    rate: float | None
    paid_until: datetime | None


_LOCK = text("""
    WITH locked AS MATERIALIZED (
        SELECT id, rate_limit, paid_until FROM webhook_endpoints
        WHERE enabled AND rate_limit IS NOT NULL FOR NO KEY UPDATE SKIP LOCKED
    )
    SELECT endpoint.id, locked.rate_limit, locked.paid_until
    FROM webhook_endpoints AS endpoint LEFT JOIN locked USING (id)
    WHERE endpoint.enabled AND endpoint.rate_limit IS NOT NULL
""")

_SAVE_PAID_UNTIL = text("""
    UPDATE webhook_endpoints SET paid_until = new.paid_until
    FROM unnest(CAST(:ids AS uuid[]), CAST(:paid AS timestamptz[])) AS new (id, paid_until)
    WHERE webhook_endpoints.id = new.id
""")


async def lock(connection: AsyncConnection) -> list[EndpointRate]:
    """Lock the enabled endpoints with a rate limit until the transaction ends; those locked by others come without a
    `rate`.
    """
    return list(map(EndpointRate._make, await connection.execute(_LOCK)))


async def save_paid_until(connection: AsyncConnection, paid: Mapping[UUID, datetime]) -> None:
    """Store the time at which each locked endpoint may be sent more."""
    if paid:
        await connection.execute(_SAVE_PAID_UNTIL, {"ids": list(paid), "paid": list(paid.values())})


# In order, so that two processes that pause the same endpoints don't deadlock.
_PAUSE = text("""
    WITH asked AS (
        SELECT id, max(until) AS until
        FROM unnest(CAST(:ids AS uuid[]), CAST(:until AS timestamptz[])) AS asked (id, until) GROUP BY id
    ),
    locked AS MATERIALIZED (
        SELECT endpoint.id, asked.until FROM webhook_endpoints AS endpoint JOIN asked USING (id)
        ORDER BY endpoint.id FOR NO KEY UPDATE OF endpoint
    )
    UPDATE webhook_endpoints SET paused_until = locked.until
    FROM locked
    WHERE webhook_endpoints.id = locked.id
      AND (webhook_endpoints.paused_until IS NULL OR webhook_endpoints.paused_until < locked.until)
""")


async def pause(connection: AsyncConnection, until: Sequence[tuple[UUID, datetime]]) -> None:
    """Pause endpoints for as long as they asked; a longer pause stays."""
    if until:
        await connection.execute(_PAUSE, {"ids": [each for each, _ in until], "until": [when for _, when in until]})
