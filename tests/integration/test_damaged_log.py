"""A log that is damaged on the broker's disk: its partition halts, and nothing of the others is lost by it."""

from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.state import decode
from service.settings import Settings
from service.topics import create_topics
from tests.support.cloud_events import encode, usage
from tests.support.kafka import ApacheKafka
from tests.support.kafka_jars import what_is_missing
from tests.support.service import consuming, eventually, query, settings_for

pytestmark = pytest.mark.anyio
EVENTS = 200


@pytest.mark.skipif(bool(what_is_missing()), reason=f"Apache Kafka can't run here: {what_is_missing()}")
async def test_its_partition_halts_and_the_others_lose_nothing(
    database_settings: Settings, engine: AsyncEngine, server_folder: Path
) -> None:
    with ApacheKafka(server_folder) as kafka:
        url = database_settings.database_url.get_secret_value()
        settings = settings_for(url, kafka.address, "damaged-", kafka_partitions=2)
        await create_topics(settings)
        await fill(settings)
        kafka.stop()
        damage(server_folder / "data" / f"{settings.topic_usage}-1")
        kafka.start()
        async with consuming(settings):

            async def settled() -> bool:
                rows = await query(
                    engine,
                    "SELECT partition, next_offset, halted FROM progress WHERE topic = :topic ORDER BY partition",
                    topic=settings.topic_usage,
                )
                return len(rows) == 2 and rows[0].next_offset == EVENTS and rows[1].halted == "the log is damaged"

            await eventually(settled, "one partition is folded, the other halted")
    rows = await query(engine, "SELECT account_id, state FROM usage_states")
    counts = {row.account_id: sum(decode(row.state, None, None, None).usage.days.values()) for row in rows}
    progress = await query(engine, "SELECT next_offset FROM progress WHERE halted IS NOT NULL")
    assert counts["account-0"] == EVENTS
    assert counts.get("account-1", 0) == progress[0].next_offset < EVENTS
    assert await query(engine, "SELECT 1 FROM dead_letters") == []


async def fill(settings: Settings) -> None:
    """Events in both partitions, ten to a batch of the log."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers)
    await producer.start()
    try:
        for number in range(2):
            for _ in range(EVENTS // 10):
                batch = producer.create_batch()
                for _ in range(10):
                    batch.append(key=None, value=encode(usage(f"account-{number}")), timestamp=None)
                await (await producer.send_batch(batch, settings.topic_usage, partition=number))
    finally:
        await producer.stop()


def damage(folder: Path) -> None:
    """Flip a bit within the log's last batch."""
    log = folder / f"{0:020}.log"
    data = bytearray(log.read_bytes().rstrip(b"\0"))
    data[-40] ^= 1
    with log.open("r+b") as file:
        file.write(data)
