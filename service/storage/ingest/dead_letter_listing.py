"""Reads dead letters: one, a page with the newest first, or all that pass a filter in batches."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, Text, cast, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.database.tables import dead_letters as table

MOST_LETTERS = 100
MOST_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A refused record in its original form. `headers` are pairs of name and value as text; see
    `dead_letters.header_from_text`.
    """

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
    relayed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterFilter:
    """Conditions on dead letters; None matches all. `reason` is a part of theirs."""

    topic: str | None = None
    account_id: str | None = None
    reason: str | None = None
    since: datetime | None = None
    replayed: bool | None = None


ALL = DeadLetterFilter()


async def get(connection: AsyncConnection, letter_id: int) -> DeadLetter | None:
    """One dead letter, or None."""
    letters = await read(connection, [letter_id])
    return letters[0] if letters else None


async def read(connection: AsyncConnection, ids: Sequence[int]) -> list[DeadLetter]:
    """The dead letters of these ids that still exist, oldest first."""
    query = select(table).where(table.c.id.in_(ids)).order_by(table.c.id)
    return [DeadLetter(**row._mapping) for row in await connection.execute(query)]


async def page(
    connection: AsyncConnection, wanted: DeadLetterFilter = ALL, *, before: int | None, limit: int
) -> list[DeadLetter]:
    """Up to `limit` dead letters with ids below `before`, newest first."""
    query = _narrow(select(table), wanted).order_by(table.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(table.c.id < before)
    return [DeadLetter(**row._mapping) for row in await connection.execute(query)]


async def sizes(
    connection: AsyncConnection, wanted: DeadLetterFilter, ids: Sequence[int] | None = None
) -> dict[int, int]:
    """The ids and sizes in bytes of all dead letters, or of those in `ids`, that pass; oldest first."""
    query = _narrow(select(table.c.id, size()), wanted).order_by(table.c.id)
    if ids:
        query = query.where(table.c.id.in_(ids))
    return {row.id: row.size for row in await connection.execute(query)}


def size() -> Any:
    """The size of a record in bytes, as a column."""
    parts = (table.c.key, table.c.value, cast(table.c.headers, Text))
    return sum((func.coalesce(func.octet_length(part), 0) for part in parts), literal(0)).label("size")


def batches(letters: dict[int, int]) -> Iterator[list[int]]:
    """The ids in batches that fit into memory, given their sizes: records may be large."""
    bite: list[int] = []
    room = MOST_BYTES
    for letter_id, letter_bytes in letters.items():
        if bite and (letter_bytes > room or len(bite) == MOST_LETTERS):
            yield bite
            bite, room = [], MOST_BYTES
        bite.append(letter_id)
        room -= letter_bytes
    if bite:
        yield bite


def _narrow(query: Select[Any], wanted: DeadLetterFilter) -> Select[Any]:
    if wanted.topic is not None:
        query = query.where(table.c.topic == wanted.topic)
    if wanted.account_id is not None:
        query = query.where(table.c.account_id == wanted.account_id)
    if wanted.reason is not None:
        query = query.where(table.c.reason.contains(wanted.reason, autoescape=True))
    if wanted.since is not None:
        query = query.where(table.c.created_at >= wanted.since)
    if wanted.replayed is not None:
        query = query.where(table.c.replayed_at.is_not(None) if wanted.replayed else table.c.replayed_at.is_(None))
    return query
