"""The log of deliveries and their attempts, for people: newest first, page by page."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text, tuple_
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.database.tables import alerts, deliveries, delivery_attempts
from service.storage.webhooks.delivery_results import DeliveryState


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One alert for one endpoint. `due_at` is the next attempt's time while it is pending."""

    id: UUID
    alert_id: UUID
    endpoint_id: UUID
    account_id: str | None
    type: str
    state: DeliveryState
    attempts: int
    due_at: datetime
    created_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedAttempt:
    """One HTTP try of a delivery, by number from 1."""

    number: int
    started_at: datetime
    duration_seconds: float
    status: int | None
    error: str | None
    response: str | None = field(repr=False)


_DELIVERY = select(
    deliveries.c.id,
    deliveries.c.alert_id,
    deliveries.c.endpoint_id,
    alerts.c.account_id,
    alerts.c.type,
    deliveries.c.state,
    deliveries.c.attempts,
    deliveries.c.due_at,
    deliveries.c.created_at,
    deliveries.c.finished_at,
).join_from(deliveries, alerts)


async def get(connection: AsyncConnection, delivery_id: UUID) -> Delivery | None:
    """One delivery, or None."""
    row = (await connection.execute(_DELIVERY.where(deliveries.c.id == delivery_id))).one_or_none()
    return Delivery(**row._mapping) if row else None


async def is_leased(connection: AsyncConnection, delivery_id: UUID, now: datetime) -> bool:
    """True if a process is sending it."""
    query = select(deliveries.c.leased_until > now).where(deliveries.c.id == delivery_id)
    return bool((await connection.execute(query)).scalar_one_or_none())


async def page(
    connection: AsyncConnection,
    endpoint_id: UUID,
    *,
    before: tuple[datetime, UUID] | None,
    limit: int,
    state: DeliveryState | None = None,
) -> list[Delivery]:
    """Up to `limit` of an endpoint's deliveries, newest first; `before` is the last one seen: `created_at` and `id`."""
    order = tuple_(deliveries.c.created_at, deliveries.c.id)
    query = _DELIVERY.where(deliveries.c.endpoint_id == endpoint_id)
    if before is not None:
        query = query.where(order < before)
    if state is not None:
        query = query.where(deliveries.c.state == state)
    query = query.order_by(deliveries.c.created_at.desc(), deliveries.c.id.desc()).limit(limit)
    return [Delivery(**row._mapping) for row in await connection.execute(query)]


async def attempts(
    connection: AsyncConnection, delivery_id: UUID, *, before: int | None = None, limit: int
) -> list[LoggedAttempt]:
    """Up to `limit` attempts of a delivery, newest first, with numbers below `before`."""
    columns = [column for column in delivery_attempts.c if column.name != "delivery_id"]
    query = select(*columns).where(delivery_attempts.c.delivery_id == delivery_id)
    if before is not None:
        query = query.where(delivery_attempts.c.number < before)
    rows = await connection.execute(query.order_by(delivery_attempts.c.number.desc()).limit(limit))
    return [LoggedAttempt(**row._mapping) for row in rows]


_LONGEST_DUE = text("""
    SELECT endpoint.target, CAST(extract(epoch FROM CAST(:now AS timestamptz) - min(first.due_at)) AS float8) AS seconds
    FROM webhook_endpoints AS endpoint
    CROSS JOIN LATERAL (
        SELECT due_at FROM deliveries
        WHERE endpoint_id = endpoint.id AND state = 'pending' AND due_at <= :now ORDER BY due_at LIMIT 1
    ) AS first
    WHERE endpoint.enabled GROUP BY endpoint.target
""")


async def longest_due(connection: AsyncConnection, now: datetime) -> dict[str, float]:
    """The seconds that the longest-waiting delivery has been due, by target; targets without one are left out."""
    return {row.target: row.seconds for row in await connection.execute(_LONGEST_DUE, {"now": now})}


async def last_attempts(connection: AsyncConnection, delivery_ids: Sequence[UUID]) -> dict[UUID, LoggedAttempt]:
    """The last attempt by delivery; deliveries without one are left out."""
    query = (
        select(delivery_attempts)
        .where(delivery_attempts.c.delivery_id.in_(delivery_ids))
        .ext(distinct_on(delivery_attempts.c.delivery_id))
        .order_by(delivery_attempts.c.delivery_id, delivery_attempts.c.number.desc())
    )
    names = LoggedAttempt.__dataclass_fields__
    rows = (await connection.execute(query)).mappings()
    return {row["delivery_id"]: LoggedAttempt(**{name: row[name] for name in names}) for row in rows}
