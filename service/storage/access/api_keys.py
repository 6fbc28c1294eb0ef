"""API keys, by the digest of their text; the text itself is not stored."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.database.tables import api_keys as table

USED_EVERY = timedelta(minutes=1)
"""The precision of `last_used_at`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredApiKey:
    """A key without its text and digest. `hint` is its beginning, to recognise it by."""

    id: UUID
    name: str
    hint: str
    scopes: Sequence[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


_COLUMNS = [table.c[name] for name in StoredApiKey.__dataclass_fields__]


async def create(
    connection: AsyncConnection,
    key_id: UUID,
    *,
    name: str,
    digest: bytes,
    hint: str,
    scopes: Collection[str],
    now: datetime,
    expires_at: datetime | None = None,
) -> StoredApiKey:
    """Insert a key."""
    row = {"id": key_id, "name": name, "digest": digest, "hint": hint, "scopes": list(scopes)}
    result = await connection.execute(
        insert(table).values(**row, created_at=now, expires_at=expires_at).returning(*_COLUMNS)
    )
    return StoredApiKey(**result.one()._mapping)


async def find(connection: AsyncConnection, digest: bytes) -> StoredApiKey | None:
    """The key with this digest, expired or not; None if there is none."""
    row = (await connection.execute(select(*_COLUMNS).where(table.c.digest == digest))).one_or_none()
    return StoredApiKey(**row._mapping) if row else None


async def get(connection: AsyncConnection, key_id: UUID) -> StoredApiKey | None:
    """One key, or None."""
    row = (await connection.execute(select(*_COLUMNS).where(table.c.id == key_id))).one_or_none()
    return StoredApiKey(**row._mapping) if row else None


async def mark_used(connection: AsyncConnection, key: StoredApiKey, now: datetime) -> None:
    """Record that a key is in use at `now`; writes at most once a minute."""
    if key.last_used_at is not None and key.last_used_at > now - USED_EVERY:
        return
    stale = or_(table.c.last_used_at.is_(None), table.c.last_used_at <= now - USED_EVERY)
    await connection.execute(update(table).where(table.c.id == key.id, stale).values(last_used_at=now))


async def page(connection: AsyncConnection, *, after: UUID | None, limit: int) -> list[StoredApiKey]:
    """Up to `limit` keys by id, which is the order of creation, that follow `after`."""
    query = select(*_COLUMNS).order_by(table.c.id).limit(limit)
    if after is not None:
        query = query.where(table.c.id > after)
    return [StoredApiKey(**row._mapping) for row in await connection.execute(query)]


async def remove(connection: AsyncConnection, key_id: UUID) -> bool:
    """Delete a key; returns whether it existed."""
    return (await connection.execute(delete(table).where(table.c.id == key_id))).rowcount == 1
