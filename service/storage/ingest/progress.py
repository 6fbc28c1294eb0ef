"""Progress: per topic-partition the next offset to fold and the epoch of its owner. The truth about what was folded."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from msgspec import Struct
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

Partition = tuple[str, int]
OPERATOR = "operator"
"""The owner of a partition that was set by hand, until a consumer claims it."""


class PartitionClaim(Struct, frozen=True):
    """A claimed partition, valid as long as its epoch, and the fingerprint of the last record folded there."""

    next_offset: int
    epoch: int
    fingerprint: int | None = None


class OffsetMove(Struct, frozen=True):
    """A move on from a claim: the next offset, and the fingerprint of the record before it, if known."""

    claim: PartitionClaim
    next_offset: int
    fingerprint: int | None

    @property
    def after(self) -> PartitionClaim:
        """The claim after the move."""
        return PartitionClaim(self.next_offset, self.claim.epoch, self.fingerprint)


_CLAIM = text("""
    INSERT INTO progress AS p (topic, partition, next_offset, epoch, owner)
    SELECT topic, partition, log_start, 1, :owner
    FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:log_starts AS bigint[]))
         AS new (topic, partition, log_start)
    ORDER BY topic, partition
    ON CONFLICT (topic, partition)
    DO UPDATE SET epoch = p.epoch + 1, owner = excluded.owner, halted = NULL, updated_at = now()
    RETURNING topic, partition, next_offset, epoch, fingerprint
""")

_ADVANCE = text("""
    UPDATE progress p SET next_offset = new.next_offset, fingerprint = new.fingerprint, updated_at = now()
    FROM (
        SELECT * FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:epochs AS bigint[]),
                             CAST(:expected AS bigint[]), CAST(:next_offsets AS bigint[]),
                             CAST(:fingerprints AS bigint[]))
                 AS new (topic, partition, epoch, expected, next_offset, fingerprint)
        ORDER BY topic, partition
    ) new
    WHERE p.topic = new.topic AND p.partition = new.partition
      AND p.epoch = new.epoch AND p.next_offset = new.expected
    RETURNING p.topic, p.partition
""")


async def claim(
    connection: AsyncConnection, log_starts: Mapping[Partition, int], owner: str
) -> dict[Partition, PartitionClaim]:
    """Claim the partitions: previous owners can't write any more. New partitions start at their log's start."""
    rows = await connection.execute(
        _CLAIM, {**_keys(log_starts), "log_starts": list(log_starts.values()), "owner": owner}
    )
    return {(row.topic, row.partition): PartitionClaim(row.next_offset, row.epoch, row.fingerprint) for row in rows}


class TopicGrowth(NamedTuple):
    """A topic that has gained partitions: their number at the last claim and now, and when they were found."""

    before: int
    now: int
    found_at: datetime

    @property
    def is_news(self) -> bool:
        """True if this claim found them, not an earlier one."""
        return self.before < self.now


_COUNT_PARTITIONS = text("""
    WITH old AS (
        SELECT topic, partition, topic_partitions FROM progress
        JOIN unnest(CAST(:topics AS text[]), CAST(:partitions AS int[])) AS mine (topic, partition)
          USING (topic, partition)
    )
    UPDATE progress p SET topic_partitions = new.count,
        partitions_added_at = CASE WHEN old.topic_partitions < new.count THEN now() ELSE p.partitions_added_at END
    FROM old JOIN unnest(CAST(:counted AS text[]), CAST(:counts AS int[])) AS new (topic, count) USING (topic)
    WHERE p.topic = old.topic AND p.partition = old.partition
    RETURNING p.topic, old.topic_partitions AS before, new.count AS has_now, p.partitions_added_at
""")


async def count_partitions(
    connection: AsyncConnection, claimed: Collection[Partition], counts: Mapping[str, int]
) -> dict[str, TopicGrowth]:
    """Record the number of partitions of claimed topics; returns the topics that have ever gained some."""
    rows = await connection.execute(
        _COUNT_PARTITIONS,
        {**_keys(claimed), "counted": list(counts), "counts": list(counts.values())},
    )
    found = [row for row in rows if row.partitions_added_at is not None]
    return {
        row.topic: TopicGrowth(row.before, row.has_now, row.partitions_added_at)
        for row in sorted(found, key=lambda row: (row.partitions_added_at, -row.before))
    }


async def advance(connection: AsyncConnection, moves: Mapping[Partition, OffsetMove]) -> set[Partition]:
    """Move the partitions on from their claims; returns those that another consumer has taken.

    The first statement of every batch: its rows stay locked until the transaction ends, so that of two owners only the
    one with the newest epoch succeeds.
    """
    rows = await connection.execute(
        _ADVANCE,
        {
            **_keys(moves),
            "epochs": [move.claim.epoch for move in moves.values()],
            "expected": [move.claim.next_offset for move in moves.values()],
            "next_offsets": [move.next_offset for move in moves.values()],
            "fingerprints": [move.fingerprint for move in moves.values()],
        },
    )
    return set(moves) - {(row.topic, row.partition) for row in rows}


_APPLIED = text("""
    SELECT count(*) FROM progress p
    JOIN unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:epochs AS bigint[]),
                CAST(:next_offsets AS bigint[])) AS new (topic, partition, epoch, next_offset)
      USING (topic, partition, epoch, next_offset)
""")


async def was_applied(connection: AsyncConnection, moves: Mapping[Partition, OffsetMove]) -> bool:
    """True if one of these very moves was made before: the connection was lost after the commit, before its answer."""
    found = await connection.execute(
        _APPLIED,
        {
            **_keys(moves),
            "epochs": [move.claim.epoch for move in moves.values()],
            "next_offsets": [move.next_offset for move in moves.values()],
        },
    )
    return bool(found.scalar_one())


class PartitionOwner(NamedTuple):
    """The latest owner of a partition, and the epoch of its claim."""

    name: str
    epoch: int


async def owners(connection: AsyncConnection, partitions: Collection[Partition]) -> dict[Partition, PartitionOwner]:
    """The latest owner of each of the partitions."""
    rows = await connection.execute(
        text("""
            SELECT topic, partition, owner, epoch FROM progress
            JOIN unnest(CAST(:topics AS text[]), CAST(:partitions AS int[])) AS wanted (topic, partition)
              USING (topic, partition)
        """),
        _keys(partitions),
    )
    return {(row.topic, row.partition): PartitionOwner(row.owner, row.epoch) for row in rows}


async def save_halted(
    connection: AsyncConnection, epochs: Mapping[Partition, int], why: Mapping[Partition, str]
) -> None:
    """Record why claimed partitions are halted, if their epochs still hold; claiming again clears it."""
    await connection.execute(
        text("""
            UPDATE progress p SET halted = new.why
            FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:epochs AS bigint[]),
                        CAST(:why AS text[])) AS new (topic, partition, epoch, why)
            WHERE p.topic = new.topic AND p.partition = new.partition AND p.epoch = new.epoch
              AND p.halted IS DISTINCT FROM new.why
        """),
        {**_keys(why), "epochs": [epochs[partition] for partition in why], "why": list(why.values())},
    )


def _keys(partitions: Collection[Partition]) -> dict[str, Any]:
    return {
        "topics": [topic for topic, _ in partitions],
        "partitions": [partition for _, partition in partitions],
    }


async def all_partitions(connection: AsyncConnection) -> Sequence[Row[Any]]:
    """Every row: topic, partition, next_offset, epoch, owner, halted, updated_at, partitions_added_at."""
    return (
        await connection.execute(
            text("""
                SELECT topic, partition, next_offset, epoch, owner, halted, updated_at, partitions_added_at
                FROM progress ORDER BY 1, 2
            """)
        )
    ).all()


async def reset(connection: AsyncConnection, offsets: Mapping[Partition, int]) -> None:
    """Set next offsets by an operator's order. The epoch changes too, so that a running owner lets go."""
    for (topic, partition), offset in offsets.items():
        await connection.execute(
            text("""
                INSERT INTO progress AS p (topic, partition, next_offset, epoch, owner)
                VALUES (:topic, :partition, :offset, 1, :owner)
                ON CONFLICT (topic, partition) DO UPDATE
                SET next_offset = :offset, epoch = p.epoch + 1, owner = :owner, fingerprint = NULL, halted = NULL,
                    updated_at = now()
            """),
            {"topic": topic, "partition": partition, "offset": offset, "owner": OPERATOR},
        )
