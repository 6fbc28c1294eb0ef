"""The embedded broker's log: folded offsets, recovery after the broker was killed, and deleting folded records.

A killed broker has lost its last records, though they may be folded already; and it rewrites its whole log again and
again, so the log is kept short.
"""

import asyncio
from collections.abc import Collection, Mapping

import numpy as np
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.messaging.client_config import client_arguments
from service.runtime.settings import Settings
from service.storage.database.retry import retry_while_transient
from service.storage.ingest import progress, seen_events
from service.storage.ingest.progress import Partition
from service.storage.ingest.seen_events import SegmentRow


async def folded_offsets(engine: AsyncEngine) -> dict[Partition, int]:
    """The number of folded records of each partition: its next offset, as the embedded broker's logs begin at 0.

    Waits while Postgres is away.
    """

    async def read() -> dict[Partition, int]:
        async with engine.connect() as connection:
            return {(row.topic, row.partition): row.next_offset for row in await progress.all_partitions(connection)}

    return await retry_while_transient(read, "reading the progress of folding")


log = structlog.get_logger(__name__)


async def skip_lost_log(settings: Settings, engine: AsyncEngine) -> None:
    """Continue from the log's end where it is shorter than the folded offset.

    Consumers would rightly halt there and ask the operator. In a demo, the lost events are all folded already.
    """
    done = await folded_offsets(engine)
    if not done:
        return
    ends = await _log_ends(settings, done)
    beyond = {partition: ends[partition] for partition, offset in done.items() if offset > ends[partition]}
    if beyond:
        log.warning("log_cut_short", partitions=len(beyond))
        async with engine.begin() as connection:
            await progress.reset(connection, beyond)
            await _move_memory(connection, beyond)


async def _log_ends(settings: Settings, partitions: Collection[Partition]) -> dict[Partition, int]:
    consumer = AIOKafkaConsumer(**client_arguments(settings))
    try:
        await consumer.start()
        ends = await consumer.end_offsets([TopicPartition(*partition) for partition in partitions])
    finally:
        await consumer.stop()
    return {(each.topic, each.partition): offset for each, offset in ends.items()}


async def _move_memory(connection: AsyncConnection, ends: Mapping[Partition, int]) -> None:
    """Move deduplication entries from beyond the log's end to just before it: the offsets beyond will be reused."""
    found = await seen_events.load(connection, list(ends))
    for partition, end in ends.items():
        beyond = [row for row in found if (row.topic, row.partition) == partition and row.last_offset >= end - 1]
        if beyond:
            hashes = np.sort(np.frombuffer(b"".join(row.hashes for row in beyond), dtype=np.uint64))
            moved = SegmentRow(*partition, end - 1, max(row.newest_at for row in beyond), hashes.tobytes())
            await seen_events.replace(connection, [(*partition, row.last_offset) for row in beyond], [moved])


LOOK_SECONDS = 60.0
MOST_RECORDS = 150_000


async def keep_log_short(settings: Settings, engine: AsyncEngine) -> None:
    """Delete folded records whenever many have been added; until cancelled."""
    deleted = 0
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        done = {partition: offset for partition, offset in (await folded_offsets(engine)).items() if offset}
        if sum(done.values()) - deleted > MOST_RECORDS:
            await _delete(settings, {TopicPartition(*each): RecordsToDelete(offset) for each, offset in done.items()})
            deleted = sum(done.values())


async def _delete(settings: Settings, records: dict[TopicPartition, RecordsToDelete]) -> None:
    admin = AIOKafkaAdminClient(**client_arguments(settings))
    await admin.start()
    try:
        await admin.delete_records(records)
    finally:
        await admin.close()
