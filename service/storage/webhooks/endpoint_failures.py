"""Stores since when an endpoint has been failing.

Every attempt may change it, so the row is written only on a change, and attempts don't wait for each other: if another
one holds the row at that moment, the next attempt will write it.
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
    """An enabled endpoint that fails. `attempted_at` is the time of the previous attempt, as far as `lock` looks."""

    failing_since: datetime
    warned_at: datetime | None
    attempted_at: datetime | None


async def mark_failing(connection: AsyncConnection, endpoint_id: UUID, now: datetime) -> None:
    """Record that the endpoint fails, unless that is recorded already."""
    row = _unlocked([endpoint_id], table.c.failing_since.is_(None))
    await connection.execute(update(table).where(row).values(failing_since=now))


async def mark_healthy(connection: AsyncConnection, endpoint_ids: Collection[UUID]) -> None:
    """Record that the endpoints have accepted messages."""
    rows = _unlocked(endpoint_ids, or_(table.c.failing_since.is_not(None), table.c.warned_at.is_not(None)))
    await connection.execute(update(table).where(rows).values(failing_since=null(), warned_at=null()))


async def lock(
    connection: AsyncConnection, endpoint_id: UUID, delivery_id: UUID, since: datetime
) -> FailingEndpoint | None:
    """The endpoint's failure, locked until the transaction ends; None if it no longer fails.

    Previous attempts are those of the delivery, and of deliveries created `since` then that were given up: a message
    that is refused for good is attempted once.
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
    """Record that operators were warned that the endpoint, locked by `lock`, will be disabled; returns the endpoint."""
    statement = update(table).where(table.c.id == endpoint_id).values(warned_at=now).returning(table)
    return Endpoint(**(await connection.execute(statement)).one()._mapping)


def _unlocked(endpoint_ids: Collection[UUID], changes: ColumnElement[bool]) -> ColumnElement[bool]:
    wanted = select(table.c.id).where(table.c.id.in_(endpoint_ids), table.c.enabled, changes)
    return table.c.id.in_(wanted.with_for_update(key_share=True, skip_locked=True))
