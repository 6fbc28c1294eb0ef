"""Since when an endpoint has been failing.

Every attempt has a say in it, so the row is written only where it changes, and attempts don't wait for each other
there: where another holds it at that moment, the next attempt will write it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, null, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.database.tables import deliveries, delivery_attempts
from service.storage.database.tables import webhook_endpoints as table
from service.storage.webhooks.endpoints import Endpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingEndpoint:
    """An enabled endpoint that fails. `attempted_at` is when it was last attempted before, as far as `lock` looks."""

    failing_since: datetime
    warned_at: datetime | None
    attempted_at: datetime | None


async def mark_failing(connection: AsyncConnection, endpoint_id: UUID, now: datetime) -> None:
    """Note that the endpoint fails, unless that is noted already."""
    row = _unlocked([endpoint_id], table.c.failing_since.is_(None))
    await connection.execute(update(table).where(row).values(failing_since=now))


async def mark_healthy(connection: AsyncConnection, endpoint_ids: Collection[UUID]) -> None:
    """Note that the endpoints have answered well."""
    rows = _unlocked(endpoint_ids, or_(table.c.failing_since.is_not(None), table.c.warned_at.is_not(None)))
    await connection.execute(update(table).where(rows).values(failing_since=null(), warned_at=null()))


async def lock(
    connection: AsyncConnection, endpoint_id: UUID, delivery_id: UUID, since: datetime
) -> FailingEndpoint | None:
    """How the endpoint fails, which nobody else changes until the transaction ends; None if it doesn't any more.

    Attempts before are those of the delivery, and of deliveries written `since` then that were given up: what is
    refused for good is attempted once.
    """
    attempted_at = select(
        func.greatest(
            select(func.max(delivery_attempts.c.started_at))
            .where(delivery_attempts.c.delivery_id == delivery_id)
            .scalar_subquery(),
            select(func.max(deliveries.c.finished_at))
            .where(
                deliveries.c.endpoint_id == endpoint_id,
                deliveries.c.created_at >= since,
                deliveries.c.state == "failed",
                deliveries.c.id != delivery_id,
            )
            .scalar_subquery(),
        )
    ).scalar_subquery()
    query = (
        select(table.c.failing_since, table.c.warned_at, attempted_at.label("attempted_at"))
        .where(table.c.id == endpoint_id, table.c.enabled, table.c.failing_since.is_not(None))
        .with_for_update(key_share=True)
    )
    row = (await connection.execute(query)).one_or_none()
    return FailingEndpoint(**row._mapping) if row else None


async def mark_warned(connection: AsyncConnection, endpoint_id: UUID, now: datetime) -> Endpoint:
    """Note that operators are told that the endpoint, which `lock` has given, will be disabled; the endpoint."""
    statement = update(table).where(table.c.id == endpoint_id).values(warned_at=now).returning(table)
    return Endpoint(**(await connection.execute(statement)).one()._mapping)


def _unlocked(endpoint_ids: Collection[UUID], changes: ColumnElement[bool]) -> ColumnElement[bool]:
    wanted = select(table.c.id).where(table.c.id.in_(endpoint_ids), table.c.enabled, changes)
    return table.c.id.in_(wanted.with_for_update(key_share=True, skip_locked=True))
