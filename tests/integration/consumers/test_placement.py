"""One account's records in several partitions: nothing is lost, nothing deadlocks, and operators are notified."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from confluent_kafka import Producer
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.state.account_state import decode
from service.runtime.settings import Settings
from tests.support.cloud_events import encode, produce, record, usage
from tests.support.scraped import Change, value
from tests.support.service import consuming, eventually, folded_up_to, query

pytestmark = pytest.mark.anyio

ACCOUNTS = [f"account-{number}" for number in range(20)]


def librdkafka(settings: Settings, events: Sequence[dict[str, Any]], *, keyed: bool = True, **config: str) -> None:
    """Produce as a C, Python, Go or .NET client of librdkafka does."""
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap_servers, **config})
    for event in events:
        producer.produce(settings.topic_usage, encode(event), event["subject"] if keyed else None)
    assert producer.flush(30) == 0


async def counted(engine: AsyncEngine) -> dict[str, int]:
    rows = await query(engine, "SELECT account_id, state FROM usage_states")
    return {row.account_id: sum(decode(row.state, None, None, None).usage.days.values()) for row in rows}


async def test_librdkafkas_own_partitioner_is_noticed_and_murmur2_is_not(
    settings: Settings, engine: AsyncEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    topic, since = settings.topic_usage, Change()
    async with consuming(settings):
        events = [usage(account) for account in ACCOUNTS]
        librdkafka(settings, events, partitioner="murmur2_random")
        await folded_up_to(engine, len(ACCOUNTS))
        assert since.of("health_placement_checked_records_total", topic=topic) == len(ACCOUNTS)
        assert since.of("health_misplaced_records_total", topic=topic, reason="other_partition") == 0
        await produce(settings.kafka_bootstrap_servers, [record(topic, event) for event in events])
        await folded_up_to(engine, 2 * len(ACCOUNTS))
        assert await counted(engine) == dict.fromkeys(ACCOUNTS, 1)

        librdkafka(settings, [usage(account) for account in ACCOUNTS])
        await folded_up_to(engine, 3 * len(ACCOUNTS))
        assert since.of("health_misplaced_records_total", topic=topic, reason="other_partition") > 0
    assert await counted(engine) == dict.fromkeys(ACCOUNTS, 2)
    assert "records_misplaced" in capsys.readouterr().out


async def test_records_without_a_key_lose_nothing_and_deadlock_nobody(settings: Settings, engine: AsyncEngine) -> None:
    """Two consumers fold the same few accounts out of different partitions, batch after batch."""
    topic, since = settings.topic_usage, Change()
    rounds = 15
    async with consuming(settings), consuming(settings):
        for _ in range(rounds):
            events = [usage(account) for account in ACCOUNTS for _ in range(10)]
            await asyncio.to_thread(librdkafka, settings, events, keyed=False)
        await folded_up_to(engine, rounds * len(ACCOUNTS) * 10)
    assert await counted(engine) == dict.fromkeys(ACCOUNTS, rounds * 10)
    assert since.of("health_misplaced_records_total", topic=topic, reason="no_key") > 0
    assert since.of("health_events_total", topic=topic, outcome="dead_letter") == 0


async def test_partitions_that_were_added_are_noticed_and_remembered(
    settings: Settings, engine: AsyncEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    topic = settings.topic_usage
    async with consuming(settings):
        await produce(settings.kafka_bootstrap_servers, [record(topic, usage(account)) for account in ACCOUNTS])
        await folded_up_to(engine, len(ACCOUNTS))
    assert not await grown(engine)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    await admin.start()
    await admin.create_partitions({topic: NewPartitions(total_count=5)})
    await admin.close()
    async with consuming(settings):
        await eventually(lambda: grown(engine), "the added partitions are noted")
        shown = value("health_partitions_added_timestamp_seconds", topic=topic)
        assert shown
    assert "partitions_added" in capsys.readouterr().out
    async with consuming(settings):  # which finds no new partition, and reads it from Postgres

        async def shown_again() -> bool:
            return value("health_partitions_added_timestamp_seconds", topic=topic) == shown

        await eventually(shown_again, "the time when they were added")
    assert "partitions_added" not in capsys.readouterr().out


async def grown(engine: AsyncEngine) -> bool:
    return bool(await query(engine, "SELECT 1 FROM progress WHERE partitions_added_at IS NOT NULL"))
