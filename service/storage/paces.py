"""Rate limits of endpoints, which all delivery processes keep to together."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


class Paced(NamedTuple):
    """An endpoint with a rate limit. Without a `rate` somebody else claims for it at this moment."""

    id: UUID
    rate: float | None
    paid_until: datetime | None


_HOLD = text("""
    WITH held AS MATERIALIZED (
        SELECT id, rate_limit, paid_until FROM webhook_endpoints
        WHERE enabled AND rate_limit IS NOT NULL FOR NO KEY UPDATE SKIP LOCKED
    )
    SELECT endpoint.id, held.rate_limit, held.paid_until
    FROM webhook_endpoints AS endpoint LEFT JOIN held USING (id)
    WHERE endpoint.enabled AND endpoint.rate_limit IS NOT NULL
""")

_KEEP = text("""
    UPDATE webhook_endpoints SET paid_until = new.paid_until
    FROM unnest(CAST(:ids AS uuid[]), CAST(:paid AS timestamptz[])) AS new (id, paid_until)
    WHERE webhook_endpoints.id = new.id
""")


async def hold(connection: AsyncConnection) -> list[Paced]:
    """The enabled endpoints with a rate limit, locked until the transaction ends, but for those that others hold."""
    return list(map(Paced._make, await connection.execute(_HOLD)))


async def keep(connection: AsyncConnection, paid: Mapping[UUID, datetime]) -> None:
    """By when endpoints that are held have paid for what they were sent."""
    if paid:
        await connection.execute(_KEEP, {"ids": list(paid), "paid": list(paid.values())})
