"""How far folding has come, as Postgres knows it."""

from sqlalchemy.ext.asyncio import AsyncEngine

from service.storage.database.retry import retry_while_transient
from service.storage.ingest import progress
from service.storage.ingest.progress import Partition


async def folded_offsets(engine: AsyncEngine) -> dict[Partition, int]:
    """How many records of each partition are folded: its next offset, as the embedded broker's logs begin at 0.

    Waits while Postgres is away.
    """

    async def read() -> dict[Partition, int]:
        async with engine.connect() as connection:
            return {(row.topic, row.partition): row.next_offset for row in await progress.all_partitions(connection)}

    return await retry_while_transient(read, "looking how far folding is")
