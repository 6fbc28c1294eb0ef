"""Partitions that must not be skipped over: they halt, say why, and go on when an operator says where."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.state.account_state import decode
from service.embedded.ports import free_port
from service.runtime.settings import Settings
from service.storage.ingest import progress
from tests.support.cloud_events import produce, record, usage
from tests.support.commands import command, environment
from tests.support.service import consuming, eventually, folded_up_to, query
from tests.support.topics import create_topics

pytestmark = pytest.mark.anyio


@pytest.fixture
async def admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    yield admin
    await admin.close()


@pytest.fixture
async def narrow(settings: Settings, bootstrap: str, topic_prefix: str) -> Settings:
    """Usage comes from a topic with one partition."""
    topic = f"{topic_prefix}narrow"
    await create_topics(bootstrap, topic)
    return settings.model_copy(update={"topic_usage": topic, "probes_port": free_port()})


async def send(settings: Settings, *features: str) -> None:
    records = [record(settings.topic_usage, usage("acme", feature)) for feature in features]
    await produce(settings.kafka_bootstrap_servers, records)


async def counted(engine: AsyncEngine) -> dict[str, int]:
    rows = await query(engine, "SELECT state FROM usage_states WHERE account_id = 'acme'")
    if not rows:
        return {}
    return {name: sum(days.values()) for name, days in decode(rows[0].state, None, None, None).usage.features.items()}


async def halted(engine: AsyncEngine, settings: Settings) -> str:
    """Wait until the usage partition is halted; returns why."""
    found: list[Any] = []

    async def noted() -> bool:
        statement = "SELECT halted FROM progress WHERE topic = :topic AND halted IS NOT NULL"
        found[:] = await query(engine, statement, topic=settings.topic_usage)
        return bool(found)

    await eventually(noted, "the partition is halted")
    return str(found[0].halted)


async def test_a_recreated_topic_halts_until_an_operator_says_where_to_continue(
    narrow: Settings, engine: AsyncEngine, admin: AIOKafkaAdminClient
) -> None:
    async with consuming(narrow):
        await send(narrow, "a", "b", "c")
        await folded_up_to(engine, 3)
    await admin.delete_topics([narrow.topic_usage])

    async def gone() -> bool:
        return narrow.topic_usage not in await admin.list_topics()

    await eventually(gone, "the topic is gone")
    await create_topics(narrow.kafka_bootstrap_servers, narrow.topic_usage)
    await send(narrow, "v", "w", "x", "y", "z")
    async with consuming(narrow):
        why = await halted(engine, narrow)
        assert "offset 2 isn't the one that was folded" in why
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{narrow.probes_port}/readyz") as answer,
        ):
            assert answer.status == 503
            assert why in await answer.text()
        shown = await asyncio.to_thread(command, "progress", "show", env=environment(narrow, COLUMNS="300"))
        assert f"HALTED: {why}" in shown.stdout
        assert await counted(engine) == {"a": 1, "b": 1, "c": 1}
        await asyncio.to_thread(
            command, "progress", "set", narrow.topic_usage, "0", "earliest", "--yes", env=environment(narrow)
        )
        await folded_up_to(engine, 5)
        assert await counted(engine) == dict.fromkeys("abcvwxyz", 1)
        assert (await query(engine, "SELECT halted FROM progress WHERE halted IS NOT NULL")) == []


async def test_all_partitions_of_a_topic_are_set_by_one_command(settings: Settings, engine: AsyncEngine) -> None:
    topic, accounts = settings.topic_usage, [f"account-{number}" for number in range(12)]
    await produce(settings.kafka_bootstrap_servers, [record(topic, usage(account)) for account in accounts])
    await asyncio.to_thread(command, "progress", "set", topic, "all", "latest", "--yes", env=environment(settings))
    rows = await query(engine, "SELECT partition, next_offset, owner FROM progress ORDER BY partition")
    assert [row.partition for row in rows] == [0, 1, 2]
    assert sum(row.next_offset for row in rows) == len(accounts)
    async with consuming(settings):  # which takes them up there: none of the earlier events is folded
        await produce(settings.kafka_bootstrap_servers, [record(topic, usage("acme", "fresh"))])
        await folded_up_to(engine, len(accounts) + 1)
    assert await counted(engine) == {"fresh": 1}
    assert len(await query(engine, "SELECT 1 FROM usage_states")) == 1


async def test_a_log_that_was_cut_beyond_what_was_folded_halts(
    narrow: Settings, engine: AsyncEngine, admin: AIOKafkaAdminClient
) -> None:
    async with consuming(narrow):
        await send(narrow, "a")
        await folded_up_to(engine, 1)
    await send(narrow, "b", "c", "d")
    await admin.delete_records({TopicPartition(narrow.topic_usage, 0): RecordsToDelete(before_offset=3)})
    async with consuming(narrow):
        assert await halted(engine, narrow) == "next offset 1 is outside of the log, 3 to 4"
        async with engine.begin() as connection:
            await progress.reset(connection, {(narrow.topic_usage, 0): 3})
        await folded_up_to(engine, 4)
    assert await counted(engine) == {"a": 1, "d": 1}


async def test_the_same_log_goes_on_where_its_last_record_has_left(
    narrow: Settings, engine: AsyncEngine, admin: AIOKafkaAdminClient
) -> None:
    """Retention removed exactly the folded records: there is nothing to compare with, and nothing was skipped."""
    async with consuming(narrow):
        await send(narrow, "a", "b")
        await folded_up_to(engine, 2)
    await admin.delete_records({TopicPartition(narrow.topic_usage, 0): RecordsToDelete(before_offset=2)})
    async with consuming(narrow):
        await send(narrow, "c")
        await folded_up_to(engine, 3)
    assert await counted(engine) == {"a": 1, "b": 1, "c": 1}


async def test_a_running_consumer_takes_up_where_an_operator_sets_it(narrow: Settings, engine: AsyncEngine) -> None:
    async with consuming(narrow):
        await send(narrow, "a", "b")
        await folded_up_to(engine, 2)
        async with engine.begin() as connection:
            await progress.reset(connection, {(narrow.topic_usage, 0): 0})
        await send(narrow, "c")
        await folded_up_to(engine, 3)
    assert await counted(engine) == {"a": 1, "b": 1, "c": 1}
    epochs = await query(engine, "SELECT epoch FROM progress WHERE topic = :topic", topic=narrow.topic_usage)
    assert epochs[0].epoch == 3, "claimed, set, claimed again"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (("nope", "0", "earliest"), "There is no topic nope. Give {prefix}narrow, {prefix}ticket-events, "),
        (("{prefix}narrow", "1", "earliest"), "PARTITION 1 can't be used. {prefix}narrow has partitions 0 to 0"),
        (
            ("{prefix}account-events", "0", "0"),
            "no topic {prefix}account-events yet. Run: account-health topics create",
        ),
        (("{prefix}narrow", "0", "1"), "OFFSET '1' can't be used for partition 0. Give earliest, latest or 0 to 0"),
    ],
)
async def test_a_partition_that_there_is_not_is_refused_at_once(
    wanted: tuple[str, ...],
    said: str,
    narrow: Settings,
    topic_prefix: str,
    engine: AsyncEngine,
    admin: AIOKafkaAdminClient,
) -> None:
    if "no topic" in said and "yet" in said:
        await admin.delete_topics([narrow.topic_account])

        async def is_gone() -> bool:  # some time after the broker has said so
            return narrow.topic_account not in await admin.list_topics()

        await eventually(is_gone, "the topic is deleted")
    words = [word.format(prefix=topic_prefix) for word in wanted]
    before = set(await admin.list_topics())
    with pytest.raises(subprocess.CalledProcessError) as refused:
        await asyncio.to_thread(command, "progress", "set", *words, "--yes", env=environment(narrow), seconds=20)
    assert said.format(prefix=topic_prefix) in refused.value.stderr
    assert set(await admin.list_topics()) == before
    assert await query(engine, "SELECT topic FROM progress") == []
