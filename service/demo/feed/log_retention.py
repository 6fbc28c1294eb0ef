"""Keeping the embedded broker's log short: it writes all of it to its file again and again."""

import asyncio

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from sqlalchemy.ext.asyncio import AsyncEngine

from service.demo.feed.folded_count import folded_offsets
from service.messaging.client_config import client_arguments
from service.runtime.settings import Settings

LOOK_SECONDS = 60.0
MOST_RECORDS = 150_000


async def keep_log_short(settings: Settings, engine: AsyncEngine) -> None:
    """Whenever many records have come, delete those that are folded; until cancelled."""
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
