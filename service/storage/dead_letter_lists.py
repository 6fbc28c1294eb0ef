"""Dead letters to be read: newest first, page by page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.tables import dead_letters as table


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A refused record as it came. `headers` are pairs of name and base64 value."""

    id: int
    topic: str
    partition: int
    offset: int
    account_id: str | None
    reason: str
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, str]]
    recorded_at: datetime
    created_at: datetime
    replayed_at: datetime | None


async def page(
    connection: AsyncConnection,
    *,
    before: int | None,
    limit: int,
    topic: str | None = None,
    account_id: str | None = None,
) -> list[DeadLetter]:
    """Up to `limit` dead letters with ids below `before`, newest first."""
    query = select(table).order_by(table.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(table.c.id < before)
    if topic is not None:
        query = query.where(table.c.topic == topic)
    if account_id is not None:
        query = query.where(table.c.account_id == account_id)
    return [DeadLetter(**row._mapping) for row in await connection.execute(query)]
