"""Webhook endpoints: a subscriber's URL with its secret and filters. Secrets come and go sealed (`service.secrets`)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypedDict
from uuid import UUID

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.tables import webhook_endpoints as table

DisabledReason = Literal["gone", "failing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One row. In the filters None takes all; else the alert has to match one of the values, in every filter."""

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


class NewEndpoint(_Optional):
    """What a new endpoint has to be given, and may be."""

    url: str
    secret: bytes


class EndpointChanges(_Optional, total=False):
    """What may change; a key that is absent stays as it is."""

    url: str
    secret: bytes


async def create(conn: AsyncConnection, endpoint_id: UUID, new: NewEndpoint, now: datetime) -> Endpoint:
    """Insert an endpoint. It gets deliveries of alerts from now on, none of earlier ones."""
    row = {"id": endpoint_id, **new, "created_at": now, "updated_at": now}
    result = await conn.execute(insert(table).values(row).returning(table))
    return Endpoint(**result.one()._mapping)


async def get(conn: AsyncConnection, endpoint_id: UUID, *, lock: bool = False) -> Endpoint | None:
    """One endpoint, or None. With `lock` nobody else changes it until the transaction ends."""
    query = select(table).where(table.c.id == endpoint_id)
    if lock:
        query = query.with_for_update(key_share=True)  # writers of deliveries refer to the key, and are not to wait
    row = (await conn.execute(query)).one_or_none()
    return Endpoint(**row._mapping) if row else None


async def page(conn: AsyncConnection, *, after: UUID | None, limit: int) -> list[Endpoint]:
    """Up to `limit` endpoints by id, which is the order of creation, that follow `after`."""
    query = select(table).order_by(table.c.id).limit(limit)
    if after is not None:
        query = query.where(table.c.id > after)
    return [Endpoint(**row._mapping) for row in await conn.execute(query)]


async def change(conn: AsyncConnection, endpoint_id: UUID, changes: EndpointChanges, now: datetime) -> Endpoint | None:
    """The endpoint with `changes`, or None if there is none. Attempts already under way go by the old values."""
    result = await conn.execute(
        update(table).where(table.c.id == endpoint_id).values(**changes, updated_at=now).returning(table)
    )
    row = result.one_or_none()
    return Endpoint(**row._mapping) if row else None


async def remove(conn: AsyncConnection, endpoint_id: UUID) -> bool:
    """Delete an endpoint with its deliveries and their attempts; whether there was one."""
    result = await conn.execute(delete(table).where(table.c.id == endpoint_id))
    return result.rowcount == 1


async def disable(conn: AsyncConnection, endpoint_id: UUID, now: datetime) -> None:
    """Stop sending to an endpoint. What is pending stays so, and goes out if it is enabled again."""
    await conn.execute(
        update(table).where(table.c.id == endpoint_id, table.c.enabled).values(enabled=False, updated_at=now)
    )
