"""Records that were refused because their timestamps were ahead of the clock: a later clock must decide the same.

They are apart from dead letters, which are erased with their accounts. A row stays as long as its record may be read
again.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.database.bulk_parameters import unnest_parameters
from service.storage.ingest.progress import Partition


class RefusedTimestamp(NamedTuple):
    """A record by its place, and its timestamp in milliseconds."""

    topic: str
    partition: int
    offset: int
    stamp_ms: int


_INSERT = text("""
    INSERT INTO refused_stamps (topic, partition, "offset", stamp_ms)
    SELECT * FROM unnest(CAST(:topic AS text[]), CAST(:partition AS int[]), CAST(:offset AS bigint[]),
                         CAST(:stamp_ms AS bigint[]))
    ON CONFLICT DO NOTHING
""")

_DELETE = text("""
    DELETE FROM refused_stamps r
    USING unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:starts AS bigint[]))
          AS log (topic, partition, start)
    WHERE r.topic = log.topic AND r.partition = log.partition AND r."offset" < log.start
""")

_LOAD = text("""
    SELECT r.topic, r.partition, r."offset", r.stamp_ms FROM refused_stamps r
    JOIN unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:starts AS bigint[]))
         AS mine (topic, partition, start)
      ON r.topic = mine.topic AND r.partition = mine.partition AND r."offset" >= mine.start
""")


async def insert(connection: AsyncConnection, rows: Sequence[RefusedTimestamp]) -> None:
    """Save the decisions. A record that is refused again is stored once."""
    if rows:
        await connection.execute(_INSERT, unnest_parameters(rows))


async def delete_before(connection: AsyncConnection, log_starts: Mapping[Partition, int]) -> None:
    """Delete records that their logs no longer contain."""
    await connection.execute(_DELETE, _starts(log_starts))


async def load(connection: AsyncConnection, starts: Mapping[Partition, int]) -> dict[Partition, set[tuple[int, int]]]:
    """The refused records per partition, from an offset on: offsets and timestamps."""
    found: dict[Partition, set[tuple[int, int]]] = {partition: set() for partition in starts}
    for row in await connection.execute(_LOAD, _starts(starts)):
        found[row.topic, row.partition].add((row.offset, row.stamp_ms))
    return found


def _starts(starts: Mapping[Partition, int]) -> dict[str, list[str] | list[int]]:
    return {
        "topics": [topic for topic, _ in starts],
        "partitions": [partition for _, partition in starts],
        "starts": list(starts.values()),
    }
