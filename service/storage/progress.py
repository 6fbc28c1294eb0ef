"""Progress: per topic-partition the next offset to fold and the epoch of its owner. The truth about what was folded."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

Partition = tuple[str, int]


class Claim(Struct, frozen=True):
    """A partition that is ours for as long as its epoch holds."""

    next_offset: int
    epoch: int


_CLAIM = text("""
    INSERT INTO progress AS p (topic, partition, next_offset, epoch, owner)
    SELECT topic, partition, log_start, 1, :owner
    FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:log_starts AS bigint[]))
         AS new (topic, partition, log_start)
    ORDER BY topic, partition
    ON CONFLICT (topic, partition)
    DO UPDATE SET epoch = p.epoch + 1, owner = excluded.owner, updated_at = now()
    RETURNING topic, partition, next_offset, epoch
""")

_ADVANCE = text("""
    UPDATE progress p SET next_offset = new.next_offset, updated_at = now()
    FROM (
        SELECT * FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:epochs AS bigint[]),
                             CAST(:expected AS bigint[]), CAST(:next_offsets AS bigint[]))
                 AS new (topic, partition, epoch, expected, next_offset)
        ORDER BY topic, partition
    ) new
    WHERE p.topic = new.topic AND p.partition = new.partition
      AND p.epoch = new.epoch AND p.next_offset = new.expected
    RETURNING p.topic, p.partition
""")


async def claim(connection: AsyncConnection, log_starts: Mapping[Partition, int], owner: str) -> dict[Partition, Claim]:
    """Make the partitions ours: whoever had them can't write any more. New ones begin at their log's start."""
    rows = await connection.execute(
        _CLAIM,
        {
            "topics": [topic for topic, _ in log_starts],
            "partitions": [partition for _, partition in log_starts],
            "log_starts": list(log_starts.values()),
            "owner": owner,
        },
    )
    return {(row.topic, row.partition): Claim(row.next_offset, row.epoch) for row in rows}


async def advance(connection: AsyncConnection, moves: Mapping[Partition, tuple[Claim, int]]) -> set[Partition]:
    """Move the partitions on from where their claims stand; returns those that somebody else has taken.

    The first statement of every batch: its rows are locked until the transaction ends, so that of two owners only the
    one with the newest epoch gets through.
    """
    rows = await connection.execute(
        _ADVANCE,
        {
            "topics": [topic for topic, _ in moves],
            "partitions": [partition for _, partition in moves],
            "epochs": [claim.epoch for claim, _ in moves.values()],
            "expected": [claim.next_offset for claim, _ in moves.values()],
            "next_offsets": [next_offset for _, next_offset in moves.values()],
        },
    )
    return set(moves) - {(row.topic, row.partition) for row in rows}


_STANDING = text("""
    SELECT count(*) FROM progress p
    JOIN unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:epochs AS bigint[]),
                CAST(:next_offsets AS bigint[])) AS new (topic, partition, epoch, next_offset)
      USING (topic, partition, epoch, next_offset)
""")


async def stands_at(connection: AsyncConnection, moves: Mapping[Partition, tuple[Claim, int]]) -> bool:
    """Whether these very moves were made before: the connection was lost after the commit, before its answer."""
    found = await connection.execute(
        _STANDING,
        {
            "topics": [topic for topic, _ in moves],
            "partitions": [partition for _, partition in moves],
            "epochs": [claim.epoch for claim, _ in moves.values()],
            "next_offsets": [next_offset for _, next_offset in moves.values()],
        },
    )
    return bool(found.scalar_one())


async def show(connection: AsyncConnection) -> Sequence[Row[Any]]:
    """Every row: topic, partition, next_offset, epoch, owner, updated_at."""
    return (
        await connection.execute(
            text("SELECT topic, partition, next_offset, epoch, owner, updated_at FROM progress ORDER BY 1, 2")
        )
    ).all()


async def reset(connection: AsyncConnection, offsets: Mapping[Partition, int]) -> None:
    """Set next offsets by an operator's order. The epoch moves too, so that a running owner lets go."""
    for (topic, partition), offset in offsets.items():
        await connection.execute(
            text("""
                INSERT INTO progress AS p (topic, partition, next_offset, epoch, owner)
                VALUES (:topic, :partition, :offset, 1, 'operator')
                ON CONFLICT (topic, partition) DO UPDATE
                SET next_offset = :offset, epoch = p.epoch + 1, owner = 'operator', updated_at = now()
            """),
            {"topic": topic, "partition": partition, "offset": offset},
        )
