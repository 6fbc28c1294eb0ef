"""Topics on which producers set timestamps: a wrong one harms its record alone."""

import asyncio
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from consumers.fold import timestamps
from scoring.state.account_state import decode
from service.messaging import foreign_topics
from service.runtime.settings import Settings
from service.storage.ingest import progress
from tests.support.api import Api
from tests.support.cloud_events import encode, record, usage
from tests.support.cloud_events import produce as publish
from tests.support.commands import command, environment
from tests.support.paths import ROOT
from tests.support.service import consuming, eventually, folded_up_to, query, settings_for
from tests.support.topics import create_topics

pytestmark = pytest.mark.anyio

# By default brokers from 4.0 on refuse timestamps more than an hour ahead; earlier ones don't.
CONFIG = {"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": str(2**63 - 1)}
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@pytest.fixture
async def foreign(database_settings: Settings, bootstrap: str, topic_prefix: str) -> Settings:
    """Settings with topics that somebody else has created."""
    settings = settings_for(database_settings.database_url.get_secret_value(), bootstrap, topic_prefix)
    await create_topics(bootstrap, *settings.topics.values(), configs=CONFIG)
    return settings


def now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1000)


async def produce(settings: Settings, *stamped: tuple[str, int]) -> None:
    """Send one use of a feature per account, now, in records with this timestamp."""
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers) as producer:
        for number, (account, timestamp) in enumerate(stamped):
            event = usage(account, time=datetime.now(UTC).isoformat())
            event["data"]["user_id"] = f"user-{account}-{number}-{timestamp}"
            await producer.send_and_wait(settings.topic_usage, encode(event), account.encode(), timestamp_ms=timestamp)


async def users(engine: AsyncEngine) -> dict[str, int]:
    rows = await query(engine, "SELECT account_id, state FROM usage_states")
    return {row.account_id: len(decode(row.state, None, None, None).usage.users) for row in rows}


async def test_records_that_are_stamped_ahead_or_with_no_time_spoil_nothing(
    foreign: Settings, engine: AsyncEngine
) -> None:
    now = now_ms()
    good = [("acme", now - number) for number in range(5)]
    bad = [("acme", now + 400 * DAY_MS), ("acme", now * 1_000), ("acme", now // 1_000), ("acme", 2**63 - 1)]
    async with consuming(foreign):
        await produce(foreign, *good[:3], *bad, *good[3:])
        await folded_up_to(engine, 9)
    assert await users(engine) == {"acme": 5}
    letters = await query(engine, "SELECT reason, recorded_at FROM dead_letters ORDER BY id")
    assert len(letters) == 4
    assert all(letter.reason.startswith("timestamp: ") for letter in letters)
    assert "in microseconds it would be" in letters[1].reason
    (scored,) = await query(engine, "SELECT day FROM scores")
    assert abs(scored.day - datetime.now(UTC).date()) <= timedelta(days=1)


UPGRADING = (ROOT / "deploy" / "upgrading.md").read_text()


@pytest.mark.skipif(not shutil.which("jq"), reason="jq, which the manual's command needs, isn't installed")
async def test_an_account_that_an_earlier_version_let_be_moved_ahead_is_mended_as_the_manual_says(
    foreign: Settings, engine: AsyncEngine, api: Api, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    api.clock.now = datetime.now(UTC)
    stamped = [("acme", now_ms()), ("well", now_ms()), ("acme", now_ms() + 400 * DAY_MS), ("acme", now_ms())]
    with monkeypatch.context() as patched:
        patched.setattr(timestamps, "latest", lambda now: (now + 500 * 86_400) * 1000)
        async with consuming(foreign):
            await produce(foreign, *stamped)
            await folded_up_to(engine, 4)
    (found,) = re.findall(r"```sql\n(SELECT account_id, day FROM scores.*?)```", UPGRADING, re.DOTALL)
    assert [row.account_id for row in await query(engine, found)] == ["acme"]

    (program,) = re.findall(r"jq -c '(.*?)' > acme.ndjson", UPGRADING)
    log = tmp_path / "acme.ndjson"
    ended = subprocess.run(["jq", "-c", program], input=await _values(foreign, 4), capture_output=True, check=True)
    log.write_bytes(ended.stdout)
    assert log.read_bytes().count(b"\n") == 3
    assert (await api.delete("/v1/accounts/acme")).status == 204
    environ = environment(foreign, XDG_STATE_HOME=str(tmp_path))
    await asyncio.to_thread(command, "load", str(log), env=environ)
    async with consuming(foreign):
        await folded_up_to(engine, 7)
    assert not await query(engine, found)
    assert await users(engine) == {"acme": 3, "well": 1}


async def _values(settings: Settings, count: int) -> bytes:
    """The values of all records of usage, a line each, as Kafka's console consumer prints them."""
    lines: list[bytes] = []
    async with AIOKafkaConsumer(
        settings.topic_usage, bootstrap_servers=settings.kafka_bootstrap_servers, auto_offset_reset="earliest"
    ) as consumer:
        while len(lines) < count:
            lines += [record.value for each in (await consumer.getmany(timeout_ms=500)).values() for record in each]
    return b"\n".join(lines)


async def test_what_was_refused_stays_refused_when_the_log_is_read_again_by_a_later_clock(
    foreign: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = now_ms()
    async with consuming(foreign):
        await produce(foreign, ("acme", now), ("early", now + HOUR_MS), ("acme", now))
        await folded_up_to(engine, 3)
    assert await users(engine) == {"acme": 2}
    soon = timestamps.latest
    monkeypatch.setattr(timestamps, "latest", lambda now: soon(now + 2 * HOUR_MS / 1000))
    async with engine.begin() as connection:
        await progress.reset(connection, {(foreign.topic_usage, 0): 0})
    async with consuming(foreign):
        await produce(foreign, ("late", now + HOUR_MS))
        await folded_up_to(engine, 4)
    assert await users(engine) == {"acme": 2, "late": 1}, "a record that wasn't decided yet goes by the clock of now"
    assert len(await query(engine, "SELECT 1 FROM dead_letters")) == 1


async def test_what_the_log_no_longer_holds_is_forgotten(foreign: Settings, engine: AsyncEngine) -> None:
    partition = (foreign.topic_usage, 0)
    kept = "SELECT 1 FROM refused_stamps"
    async with consuming(foreign):
        await produce(foreign, ("early", now_ms() + DAY_MS), ("acme", now_ms()))
        await folded_up_to(engine, 2)
    assert len(await query(engine, kept)) == 1
    await _cut(foreign, partition, 1)
    async with consuming(foreign):

        async def forgotten() -> bool:
            return not await query(engine, kept)

        await eventually(forgotten, "what the log doesn't hold is forgotten")


async def _cut(settings: Settings, partition: tuple[str, int], offset: int) -> None:
    """Have Kafka delete the records before an offset."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka_bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_records({TopicPartition(*partition): RecordsToDelete(before_offset=offset)})
    finally:
        await admin.close()


async def test_where_the_broker_is_ahead_its_partition_halts_and_nothing_is_refused(
    settings: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On our own topics the broker sets timestamps. Records from before its clock went wrong are folded first."""
    await publish(settings.kafka_bootstrap_servers, [record(settings.topic_usage, usage("acme")) for _ in range(3)])
    await asyncio.sleep(0.2)
    wrong_since = now_ms()
    await asyncio.sleep(0.2)
    await publish(settings.kafka_bootstrap_servers, [record(settings.topic_usage, usage("acme"))])
    with monkeypatch.context() as patched:
        patched.setattr(timestamps, "latest", lambda _: wrong_since)
        async with consuming(settings):

            async def halted() -> bool:
                rows = await query(engine, "SELECT next_offset FROM progress WHERE halted LIKE 'the broker stamped %'")
                return [row.next_offset for row in rows] == [3]

            await eventually(halted, "it halts behind the three")
    assert not await query(engine, "SELECT 1 FROM dead_letters")
    async with consuming(settings):
        await folded_up_to(engine, 4)
    assert not await query(engine, "SELECT 1 FROM progress WHERE halted IS NOT NULL")


async def test_a_consumer_says_what_a_foreign_topic_lacks(foreign: Settings, engine: AsyncEngine) -> None:
    with capture_logs() as logs:
        async with consuming(foreign):
            await produce(foreign, ("acme", now_ms()))
            await folded_up_to(engine, 1)
    said = {each["topic"]: each for each in logs if each["event"] == "topic_lacks"}
    assert said.keys() == set(foreign.topics.values())
    usage_topic = said[foreign.topic_usage]
    assert "message.timestamp.type=CreateTime" in usage_topic["why"]
    assert usage_topic["remedy"].endswith(
        f"--entity-name {foreign.topic_usage} --add-config message.timestamp.type=LogAppendTime"
    )


async def test_topics_of_our_own_lack_nothing(settings: Settings) -> None:
    assert await foreign_topics.inspect(settings) == []
    away = settings.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1"})
    assert await foreign_topics.inspect(away) == []
