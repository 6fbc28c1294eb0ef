"""Batches that can't be read: their partitions halt one by one and say where, and no neighbour waits for anything."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.state.account_state import decode
from service.embedded.ports import free_port
from service.messaging.topics import create_topics
from service.runtime.settings import Settings
from tests.support.cloud_events import encode, produce, usage
from tests.support.commands import command, environment
from tests.support.kafka import ApacheKafka
from tests.support.kafka_jars import what_is_missing
from tests.support.log_files import (
    Damage,
    change_batch,
    flip_a_bit,
    rename_headers,
    sealed,
    spoil_records,
    use_no_known_codec,
)
from tests.support.service import consuming, eventually, query, settings_for

pytestmark = pytest.mark.anyio
BATCHES, EACH = 20, 10
EVENTS = BATCHES * EACH
AT = 15
"""The batch that is damaged, of those before and after it."""
CODECS = (None, None, None, "gzip", "snappy", "lz4", "zstd", None)
"""The codec by partition: producers may compress batches or not."""
DAMAGES: Mapping[int, tuple[Damage, str]] = {
    1: (flip_a_bit, "Invalid CRC"),
    2: (sealed(use_no_known_codec), "Unknown compression codec 0x07"),
    **{number: (sealed(spoil_records), "") for number in (3, 4, 5, 6)},
}
ODDLY_NAMED = 7
"""The partition one batch of which has headers whose names aren't UTF-8: it can be read with patience."""


@pytest.mark.skipif(bool(what_is_missing()), reason=f"Apache Kafka can't run here: {what_is_missing()}")
async def test_each_partition_halts_alone_and_goes_on_behind_what_cannot_be_read(
    database_settings: Settings, engine: AsyncEngine, server_folder: Path
) -> None:
    with ApacheKafka(server_folder) as kafka:
        url = database_settings.database_url.get_secret_value()
        settings = settings_for(url, kafka.address, "damaged-", kafka_partitions=len(CODECS), probes_port=free_port())
        await create_topics(settings)
        await fill(settings)
        kafka.stop()
        for number, (damage, _) in DAMAGES.items():
            change_batch(server_folder / "data" / f"{settings.topic_usage}-{number}", AT, damage)
        change_batch(server_folder / "data" / f"{settings.topic_usage}-{ODDLY_NAMED}", AT, sealed(rename_headers))
        kafka.start()
        async with consuming(settings):
            await stands(engine, {number: AT * EACH if number in DAMAGES else EVENTS for number in range(len(CODECS))})
            await all_halt(engine, settings)
            assert REGISTRY.get_sample_value("health_halted_partitions") == len(DAMAGES)
            # Those that can be read go on meanwhile.
            await produce(
                kafka.address, [(settings.topic_ticket, b"k", b"no event"), (settings.topic_ticket, b"k", None)]
            )
            await tickets_are_passed(engine, settings)
            for number in DAMAGES:
                words = ("progress", "set", settings.topic_usage, str(number), str((AT + 1) * EACH), "--yes")
                await asyncio.to_thread(command, *words, env=environment(settings))
            await stands(engine, dict.fromkeys(range(len(CODECS)), EVENTS))
    rows = await query(engine, "SELECT account_id, state FROM usage_states")
    counts = {row.account_id: sum(decode(row.state, None, None, None).usage.days.values()) for row in rows}
    assert counts == {f"account-{n}": EVENTS - EACH * (n in DAMAGES) for n in range(len(CODECS))}
    assert [row.topic for row in await query(engine, "SELECT topic FROM dead_letters")] == [settings.topic_ticket]


async def stands(engine: AsyncEngine, expected: Mapping[int, int]) -> None:
    async def reached() -> bool:
        rows = await query(engine, "SELECT partition, next_offset FROM progress WHERE topic LIKE '%usage%'")
        return {row.partition: row.next_offset for row in rows} == expected

    await eventually(reached, f"partitions are folded up to {expected}")


async def all_halt(engine: AsyncEngine, settings: Settings) -> None:
    """Each damaged partition reports the unreadable offsets and the one at which the log continues; /readyz too."""

    async def noted() -> bool:
        return len(await query(engine, "SELECT 1 FROM progress WHERE halted IS NOT NULL")) == len(DAMAGES)

    await eventually(noted, "all that are damaged are halted")
    rows = await query(engine, "SELECT partition, halted FROM progress WHERE halted IS NOT NULL")
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{settings.probes_port}/readyz") as answer,
    ):
        assert answer.status == 503
        ready = (await answer.json(content_type=None))["detail"]
    for row in rows:
        assert row.halted.startswith(f"offsets {AT * EACH} to {(AT + 1) * EACH - 1} can't be read (")
        assert DAMAGES[row.partition][1] in row.halted
        assert row.halted.endswith(f"what follows begins at offset {(AT + 1) * EACH}")
        assert row.halted in ready


async def tickets_are_passed(engine: AsyncEngine, settings: Settings) -> None:
    async def passed() -> bool:
        statement = "SELECT sum(next_offset) FROM progress WHERE topic = :topic"
        return bool((await query(engine, statement, topic=settings.topic_ticket))[0][0] == 2)

    await eventually(passed, "tickets are folded")


async def fill(settings: Settings) -> None:
    """Send the same number of events to every partition, ten to a batch of the log."""
    for number, codec in enumerate(CODECS):
        producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers, compression_type=codec)
        await producer.start()
        try:
            for _ in range(BATCHES):
                batch = producer.create_batch()
                for _ in range(EACH):
                    value = encode(usage(f"account-{number}"))
                    batch.append(key=None, value=value, timestamp=None, headers=[("name", b"v")])
                await (await producer.send_batch(batch, settings.topic_usage, partition=number))
        finally:
            await producer.stop()
