"""Going on after the embedded broker was killed: it has lost what came last, though that may be folded already."""

from collections.abc import Collection, Mapping

import numpy as np
import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.demo.feed.folded_count import folded_offsets
from service.messaging.client_config import client_arguments
from service.runtime.settings import Settings
from service.storage.ingest import progress, seen_events
from service.storage.ingest.progress import Partition
from service.storage.ingest.seen_events import SegmentRow

log = structlog.get_logger(__name__)


async def skip_lost_log(settings: Settings, engine: AsyncEngine) -> None:
    """Fold on from the log's end where it is shorter than what was folded.

    Consumers would rightly halt there and ask the operator. In a demo, all that is lost are events that are folded.
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
    """Remember what was seen beyond the log's end as seen just before it: the offsets beyond will be given again."""
    found = await seen_events.load(connection, list(ends))
    for partition, end in ends.items():
        beyond = [row for row in found if (row.topic, row.partition) == partition and row.last_offset >= end - 1]
        if beyond:
            hashes = np.sort(np.frombuffer(b"".join(row.hashes for row in beyond), dtype=np.uint64))
            moved = SegmentRow(*partition, end - 1, max(row.newest_at for row in beyond), hashes.tobytes())
            await seen_events.replace(connection, [(*partition, row.last_offset) for row in beyond], [moved])
