"""Finds partitions that aren't folded: halted ones, and those whose consumer is silent."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.ingest.progress import Partition

AWAY_SECONDS = 60.0
"""The time after which a silent consumer counts as gone; it reports every few seconds, and with every batch."""


class Standstill(NamedTuple):
    """The partitions of a topic that aren't folded; `known` are all that ever were."""

    topic: str
    known: int
    halted: int
    away: int


_HEARTBEAT = text("""
    UPDATE progress p SET heard_at = now()
    FROM (
        SELECT q.topic, q.partition FROM progress q
        JOIN unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:epochs AS bigint[]))
             AS claimed (topic, partition, epoch) USING (topic, partition, epoch)
        FOR UPDATE OF q SKIP LOCKED
    ) mine
    WHERE p.topic = mine.topic AND p.partition = mine.partition
""")
"""Skips rows locked by others: they are no reason to wait."""

_COUNT = text("""
    SELECT wanted.topic, count(p.topic) AS known, count(p.halted) AS halted,
           count(*) FILTER (WHERE p.halted IS NULL AND greatest(p.heard_at, p.updated_at)
                                                   < now() - make_interval(secs => :seconds)) AS away
    FROM unnest(CAST(:topics AS text[])) AS wanted (topic)
    LEFT JOIN progress p ON p.topic = wanted.topic
    GROUP BY wanted.topic ORDER BY wanted.topic
""")


async def record_heartbeat(connection: AsyncConnection, epochs: Mapping[Partition, int]) -> None:
    """Record that the consumer of these partitions is alive, for those whose epoch still holds."""
    await connection.execute(
        _HEARTBEAT,
        {
            "topics": [topic for topic, _ in epochs],
            "partitions": [partition for _, partition in epochs],
            "epochs": list(epochs.values()),
        },
    )


async def standstills(connection: AsyncConnection, topics: Sequence[str]) -> list[Standstill]:
    """The number of partitions of each topic that aren't folded now, by the database's clock."""
    rows = await connection.execute(_COUNT, {"topics": list(topics), "seconds": AWAY_SECONDS})
    return [Standstill(*row) for row in rows]


def describe(found: Sequence[Standstill]) -> str | None:
    """Describe the standstill, without host names or reasons, as anybody may read it; None if there is none."""
    parts = []
    for each in found:
        if not each.known:
            parts.append(f"no consumer has started on {each.topic}")
        if each.halted:
            parts.append(f"{each.halted} of {each.known} partitions of {each.topic} are halted")
        if each.away:
            parts.append(f"no consumer is active for {each.away} of {each.known} partitions of {each.topic}")
    return "; ".join(parts) + ". See: account-health progress show" if parts else None
