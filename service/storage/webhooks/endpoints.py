"""Webhook endpoints: a subscriber's URL with its secret and filters. Secrets are sealed (`runtime.vault`)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypedDict
from uuid import UUID

from sqlalchemy import case, delete, func, insert, null, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.database.tables import webhook_endpoints as table

DisabledReason = Literal["gone", "failing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One endpoint. A filter of None takes all; otherwise the alert must match one of the values, in every filter."""

    id: UUID
    url: str = field(repr=False)
    target: str
    description: str
    enabled: bool
    secret: bytes = field(repr=False)
    headers: bytes | None = field(repr=False)
    options: bytes | None = field(repr=False)
    event_types: Sequence[str] | None
    rules: Sequence[str] | None
    bands: Sequence[str] | None
    segments: Sequence[str] | None
    stages: Sequence[str] | None
    owners: Sequence[str] | None
    ordered: bool
    rate_limit: float | None
    paid_until: datetime | None
    paused_until: datetime | None
    disabled_reason: DisabledReason | None
    failing_since: datetime | None
    warned_at: datetime | None
    created_at: datetime
    updated_at: datetime


class _Optional(TypedDict, total=False):
    target: str
    description: str
    enabled: bool
    headers: bytes | None
    options: bytes | None
    event_types: Sequence[str] | None
    rules: Sequence[str] | None
    bands: Sequence[str] | None
    segments: Sequence[str] | None
    stages: Sequence[str] | None
    owners: Sequence[str] | None
    ordered: bool
    rate_limit: float | None


class NewEndpoint(_Optional):
    """The required and the optional fields of a new endpoint."""

    url: str
    secret: bytes


class EndpointChanges(_Optional, total=False):
    """The fields that may change; absent keys stay as they are."""

    url: str
    secret: bytes


async def create(connection: AsyncConnection, endpoint_id: UUID, new: NewEndpoint, now: datetime) -> Endpoint:
    """Insert an endpoint. It gets deliveries of alerts from now on, none of earlier ones."""
    row = {"id": endpoint_id, **new, "created_at": now, "updated_at": now}
    result = await connection.execute(insert(table).values(row).returning(table))
    return Endpoint(**result.one()._mapping)


async def get(connection: AsyncConnection, endpoint_id: UUID) -> Endpoint | None:
    """One endpoint, or None."""
    row = (await connection.execute(select(table).where(table.c.id == endpoint_id))).one_or_none()
    return Endpoint(**row._mapping) if row else None


async def lock(connection: AsyncConnection, endpoint_id: UUID) -> Endpoint | None:
    """One endpoint, locked until the transaction ends; or None."""
    # Writers of deliveries refer to the key, and must not wait.
    query = select(table).where(table.c.id == endpoint_id).with_for_update(key_share=True)
    row = (await connection.execute(query)).one_or_none()
    return Endpoint(**row._mapping) if row else None


async def page(connection: AsyncConnection, *, after: UUID | None, limit: int) -> list[Endpoint]:
    """Up to `limit` endpoints by id, which is the order of creation, that follow `after`."""
    query = select(table).order_by(table.c.id).limit(limit)
    if after is not None:
        query = query.where(table.c.id > after)
    return [Endpoint(**row._mapping) for row in await connection.execute(query)]


async def change(
    connection: AsyncConnection, endpoint_id: UUID, changes: EndpointChanges, now: datetime
) -> Endpoint | None:
    """Change an endpoint; returns it, or None if it doesn't exist. Attempts already under way use the old values.

    One that is enabled again starts as if it had never failed. A pause that it asked for ends if it is enabled, or gets
    another URL.
    """
    values: dict[str, Any] = {**changes, "updated_at": now}
    if "enabled" in changes:
        values["disabled_reason"] = null()
    if changes.get("enabled"):
        for name in ("failing_since", "warned_at"):
            values[name] = case((table.c.enabled, table.c[name]))
    if changes.get("enabled") or "url" in changes:
        values["paused_until"] = null()
    result = await connection.execute(update(table).where(table.c.id == endpoint_id).values(values).returning(table))
    row = result.one_or_none()
    return Endpoint(**row._mapping) if row else None


class EndpointStatus(NamedTuple):
    """The state of an endpoint."""

    id: UUID
    target: str
    enabled: bool
    disabled_reason: str | None
    is_failing: bool
    is_limited: bool


async def statuses(connection: AsyncConnection) -> list[EndpointStatus]:
    """The states of all endpoints."""
    columns = (table.c.id, table.c.target, table.c.enabled, table.c.disabled_reason)
    query = select(*columns, table.c.failing_since.is_not(None), table.c.rate_limit.is_not(None))
    return list(map(EndpointStatus._make, await connection.execute(query)))


async def remove(connection: AsyncConnection, endpoint_id: UUID) -> bool:
    """Delete an endpoint with its deliveries and their attempts; returns whether it existed."""
    result = await connection.execute(delete(table).where(table.c.id == endpoint_id))
    return result.rowcount == 1


async def disable(
    connection: AsyncConnection, endpoint_id: UUID, reason: DisabledReason, now: datetime
) -> Endpoint | None:
    """Stop sending to an endpoint; None if it was disabled already.

    Pending deliveries stay pending, and are sent if it is enabled again.
    """
    failing_since = func.coalesce(table.c.failing_since, now)
    result = await connection.execute(
        update(table)
        .where(table.c.id == endpoint_id, table.c.enabled)
        .values(enabled=False, disabled_reason=reason, failing_since=failing_since, updated_at=now)
        .returning(table)
    )
    row = result.one_or_none()
    return Endpoint(**row._mapping) if row else None
