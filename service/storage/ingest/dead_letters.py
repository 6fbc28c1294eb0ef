"""Dead letters: refused records, stored whole with the reason."""

import base64
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.database.bulk_parameters import unnest_parameters
from service.storage.database.tables import dead_letters as table
from service.storage.ingest.dead_letter_listing import MOST_LETTERS, size
from service.storage.ingest.progress import Partition


class DeadLetterRow(NamedTuple):
    """A row to write; `headers` is JSON text: [[name, value as text], …]; see `header_to_text`."""

    topic: str
    partition: int
    offset: int
    account_id: str | None
    reason: str
    key: bytes | None
    value: bytes | None
    headers: str
    recorded_at: datetime


_NULL_HEADER = "="
"""Padding alone: no base64 of anything, and an empty value to code that doesn't know it, such as an earlier version."""


def header_to_text(value: bytes | None) -> str:
    """The text in which a header's value is stored: base64, as it holds any bytes; null isn't an empty value."""
    return _NULL_HEADER if value is None else base64.b64encode(value).decode()


def header_from_text(text: str) -> bytes | None:
    """The header's value stored in a text."""
    return None if text == _NULL_HEADER else base64.b64decode(text)


_INSERT = text("""
    INSERT INTO dead_letters (topic, partition, "offset", account_id, reason, key, value, headers, recorded_at)
    SELECT new.topic, new.partition, new.at, new.account_id, new.reason, new.key, new.value,
           CAST(new.headers AS jsonb), new.recorded_at
    FROM unnest(CAST(:topic AS text[]), CAST(:partition AS int[]), CAST(:offset AS bigint[]),
                CAST(:account_id AS text[]), CAST(:reason AS text[]), CAST(:key AS bytea[]), CAST(:value AS bytea[]),
                CAST(:headers AS text[]), CAST(:recorded_at AS timestamptz[]))
         AS new (topic, partition, at, account_id, reason, key, value, headers, recorded_at)
    ON CONFLICT (topic, partition, "offset", recorded_at) DO NOTHING
""")


async def insert(connection: AsyncConnection, rows: Sequence[DeadLetterRow]) -> None:
    """Save refused records. A record that is refused again, after an operator rewound, is stored once."""
    if rows:
        await connection.execute(_INSERT, unnest_parameters(rows))


_RECENT = text("""
    SELECT d.topic, d.partition, d."offset"
    FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:firsts AS bigint[]), CAST(:ends AS bigint[]))
         AS wanted (topic, partition, first, end_offset)
    JOIN dead_letters d ON d.topic = wanted.topic AND d.partition = wanted.partition
                       AND d."offset" >= wanted.first AND d."offset" < wanted.end_offset
    ORDER BY d."offset"
""")


async def recent(connection: AsyncConnection, ends: Mapping[Partition, int], window: int) -> dict[Partition, list[int]]:
    """The offsets of the dead letters among the last `window` records before an offset, in order, per partition."""
    rows = await connection.execute(
        _RECENT,
        {
            "topics": [topic for topic, _ in ends],
            "partitions": [partition for _, partition in ends],
            "firsts": [end - window for end in ends.values()],
            "ends": list(ends.values()),
        },
    )
    found: dict[Partition, list[int]] = {partition: [] for partition in ends}
    for row in rows:
        found[row.topic, row.partition].append(row.offset)
    return found


_RUN = text("""
    SELECT d."offset" FROM dead_letters d
    WHERE d.topic = :topic AND d.partition = :partition AND d."offset" < :before
      AND NOT EXISTS (SELECT 1 FROM dead_letters e WHERE e.topic = d.topic AND e.partition = d.partition
                                                     AND e."offset" = d."offset" - 1)
    ORDER BY d."offset" DESC LIMIT 1
""")
_WITHIN = text("""
    SELECT "offset" FROM dead_letters
    WHERE topic = :topic AND partition = :partition AND "offset" >= :first AND "offset" < :before
""")


async def refused_before(
    connection: AsyncConnection, partition: Partition, end: int, count: int
) -> tuple[int, set[int]]:
    """The offset after the last record before `end` that wasn't refused, and the refused ones of the `count` offsets
    before it.
    """
    keys = {"topic": partition[0], "partition": partition[1]}
    refused = {row.offset for row in await connection.execute(_WITHIN, {**keys, "first": end - 1, "before": end})}
    if refused:
        end = (await connection.execute(_RUN, {**keys, "before": end})).scalar_one()
    rows = await connection.execute(_WITHIN, {**keys, "first": end - count, "before": end})
    return end, {row.offset for row in rows}


async def mark_replayed(connection: AsyncConnection, ids: Sequence[int], now: datetime) -> None:
    """Record when dead letters were published again to their own topics."""
    await connection.execute(update(table).where(table.c.id.in_(ids)).values(replayed_at=now))


async def claim_unrelayed(
    connection: AsyncConnection, topic: str, limit: int = MOST_LETTERS, without: Collection[int] = ()
) -> dict[int, int]:
    """Lock the oldest dead letters of a topic that aren't relayed, skipping those locked by others and those in
    `without`; returns ids and sizes.
    """
    query = (
        select(table.c.id, size())
        .where(table.c.topic == topic, table.c.relayed_at.is_(None), table.c.id.not_in(without))
        .order_by(table.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return {row.id: row.size for row in await connection.execute(query)}


async def mark_relayed(connection: AsyncConnection, ids: Sequence[int], now: datetime) -> None:
    """Record when dead letters were published to their dead-letter topics."""
    await connection.execute(update(table).where(table.c.id.in_(ids)).values(relayed_at=now))
