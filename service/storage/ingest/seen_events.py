"""Identities of folded events, packed: duplicates are recognised by them, across restarts."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.database.bulk_parameters import unnest_parameters
from service.storage.ingest.progress import Partition


class SegmentRow(NamedTuple):
    """A segment of a partition's events, up to an offset; `hashes` has 8 bytes for each."""

    topic: str
    partition: int
    last_offset: int
    newest_at: datetime
    hashes: bytes


# One statement, as a small batch costs mostly its round trips. Counting makes the deletion come first: a saved segment
# may have the key of a deleted one.
_REPLACE = text("""
    WITH deleted AS (
        DELETE FROM seen_events s
        USING unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:offsets AS bigint[]))
              AS gone (topic, partition, last_offset)
        WHERE s.topic = gone.topic AND s.partition = gone.partition AND s.last_offset = gone.last_offset
        RETURNING 1
    )
    INSERT INTO seen_events (topic, partition, last_offset, newest_at, hashes)
    SELECT * FROM unnest(CAST(:topic AS text[]), CAST(:partition AS int[]), CAST(:last_offset AS bigint[]),
                         CAST(:newest_at AS timestamptz[]), CAST(:hashes AS bytea[]))
    WHERE (SELECT count(*) FROM deleted) >= 0
""")

_LOAD = text("""
    SELECT s.topic, s.partition, s.last_offset, s.newest_at, s.hashes FROM seen_events s
    JOIN unnest(CAST(:topics AS text[]), CAST(:partitions AS int[])) AS mine (topic, partition)
      ON s.topic = mine.topic AND s.partition = mine.partition
    ORDER BY s.topic, s.partition, s.last_offset
""")


async def replace(
    connection: AsyncConnection, gone: Sequence[tuple[str, int, int]], added: Sequence[SegmentRow]
) -> None:
    """Delete segments by (topic, partition, last offset) and save others; does nothing if there are none to save."""
    if added:
        topics, partitions, offsets = zip(*gone, strict=True) if gone else ((), (), ())
        keys = {"topics": list(topics), "partitions": list(partitions), "offsets": list(offsets)}
        await connection.execute(_REPLACE, {**keys, **unnest_parameters(added)})


async def load(connection: AsyncConnection, partitions: Sequence[Partition]) -> list[SegmentRow]:
    """Every segment of the partitions, oldest first."""
    rows = await connection.execute(
        _LOAD, {"topics": [topic for topic, _ in partitions], "partitions": [number for _, number in partitions]}
    )
    return [SegmentRow(*row) for row in rows]
