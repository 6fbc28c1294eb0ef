"""Dead letters on a real Kafka and a real Postgres: back to where they came from, and on to a topic of their own."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from consumers.sweep import dead_letter_relay
from scoring.state.account_state import decode
from service.cli.app import app
from service.embedded.broker import EmbeddedBroker
from service.embedded.ports import free_port
from service.messaging import publisher as publishing
from service.messaging.publisher import Publisher, RawRecord
from service.messaging.topics import create_topics
from service.observability import metrics
from service.observability.probes import Pulse
from service.runtime.errors import HealthError
from service.runtime.settings import Settings
from service.storage.ingest import dead_letters
from tests.support.api import make_key, running
from tests.support.cloud_events import encode, produce, usage
from tests.support.commands import environment
from tests.support.service import consuming, eventually, folded_up_to, query

pytestmark = pytest.mark.anyio

Say = Callable[..., Result]


@pytest.fixture
def small(settings: Settings) -> Settings:
    """Consumers as they were before the fix: they take 1,024 bytes."""
    return settings.model_copy(update={"max_record_bytes": 1024})


@pytest.fixture
def relaying(settings: Settings) -> Settings:
    return settings.model_copy(update={"dead_letter_topics": True})


@pytest.fixture
def say(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Runs `account-health dead-letters …`."""
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)

    def run(*words: str, answer: str = "") -> Result:
        return CliRunner().invoke(app, ["dead-letters", *words], input=answer)

    return run


def large(number: int) -> dict[str, Any]:
    """An event of more than 1,024 bytes."""
    return usage(f"account-{number}", "f" * 100, padding="x" * 1024)


async def refuse(small: Settings, engine: AsyncEngine, records: list[tuple[str, bytes | None, bytes | None]]) -> None:
    async with consuming(small):
        await produce(small.kafka_bootstrap_servers, records)
        await folded_up_to(engine, len(records))


async def used(engine: AsyncEngine) -> int:
    """The number of usage events that count by now."""
    rows = await query(engine, "SELECT state FROM usage_states")
    return sum(sum(decode(row.state, None, None, None).usage.days.values()) for row in rows)


async def read_all(bootstrap: str, topic: str, count: int) -> list[ConsumerRecord]:
    """At least `count` records of a topic, and those of the next half second."""
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        records: list[ConsumerRecord] = []
        async with asyncio.timeout(20):
            while len(records) < count:
                records += await _poll(consumer)
        return records + await _poll(consumer)
    finally:
        await consumer.stop()


async def _poll(consumer: AIOKafkaConsumer) -> list[ConsumerRecord]:
    polled = await consumer.getmany(timeout_ms=500)
    return [record for records in polled.values() for record in records]


@asynccontextmanager
async def relay_running(engine: AsyncEngine, settings: Settings) -> AsyncIterator[Pulse]:
    stop, pulse = asyncio.Event(), Pulse("relay", 300)
    task = asyncio.create_task(dead_letter_relay.run(engine, settings, pulse, stop))
    try:
        yield pulse
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


async def all_relayed(engine: AsyncEngine) -> bool:
    return not await query(engine, "SELECT 1 FROM dead_letters WHERE relayed_at IS NULL")


# --- Replay -----------------------------------------------------------------------------------------------------


async def test_after_the_fix_a_replay_counts_once_however_often(
    small: Settings, settings: Settings, engine: AsyncEngine, say: Say
) -> None:
    topic = settings.topic_usage
    with_key = [(topic, b"acme", encode(large(number))) for number in range(3)]
    without_key = [(topic, None, encode(large(9)))]  # which could go anywhere at each replay
    await refuse(small, engine, [*with_key, *without_key])
    assert len(await query(engine, "SELECT 1 FROM dead_letters")) == 4

    replayed = await asyncio.to_thread(say, "replay", "--all", answer="y\n")
    assert replayed.exit_code == 0, replayed.output
    assert "Publish 4 dead letters again?" in replayed.output
    assert "4 dead letters replayed." in replayed.output
    for _ in range(5):
        again = await asyncio.to_thread(say, "replay", "--topic", topic, "--again", "--yes")
        assert "4 dead letters replayed." in again.output
    async with consuming(settings):
        await folded_up_to(engine, 4 + 6 * 4)
    assert await used(engine) == 4
    assert len(await query(engine, "SELECT 1 FROM dead_letters WHERE replayed_at IS NOT NULL")) == 4
    assert "nothing to replay" in (await asyncio.to_thread(say, "replay", "--all", "--yes")).output


async def test_bytes_key_and_headers_come_back_as_they_were(settings: Settings, engine: AsyncEngine, say: Say) -> None:
    sent: list[RawRecord] = [
        RawRecord(settings.topic_ticket, b"\xff\x00", b"\x00\xfe", [("h", b"\x01"), ("h", b""), ("x", b"2")], 2),
        RawRecord(settings.topic_ticket, b"key", b"", [], 1),
    ]
    publisher = Publisher(settings)
    await publisher.publish(sent)
    await publisher.stop()
    async with consuming(settings):
        await folded_up_to(engine, 2)
        assert (await asyncio.to_thread(say, "replay", "--all", "--yes")).exit_code == 0
        await folded_up_to(engine, 4)
    records = await read_all(settings.kafka_bootstrap_servers, settings.topic_ticket, 4)
    for record in sent:
        copies = [each for each in records if each.key == record.key]
        assert len(copies) == 2
        for copy in copies:
            assert (copy.value, copy.headers, copy.partition) == (record.value, tuple(record.headers), record.partition)


async def test_over_http(small: Settings, settings: Settings, engine: AsyncEngine) -> None:
    await refuse(small, engine, [(settings.topic_usage, b"acme", encode(large(1)))])
    keys = await make_key(engine, "write")
    sealed = settings.model_copy(update={"encryption_key": None})
    async with running(sealed, keys, Publisher(sealed)) as api, consuming(settings):
        [letter] = (await api.get("/v1/dead-letters?replayed=false")).items
        assert (await api.get(f"/v1/dead-letters/{letter['id']}")).json == letter
        replayed = await api.post(f"/v1/dead-letters/{letter['id']}/replay")
        assert (replayed.status, replayed.json["replayed_at"] is None) == (200, False)
        await folded_up_to(engine, 2)
        assert (await api.get("/v1/dead-letters?replayed=false")).items == []
    assert await used(engine) == 1


async def test_what_would_be_refused_again_stays(
    small: Settings, settings: Settings, engine: AsyncEngine, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = settings.topic_usage
    await refuse(small, engine, [(topic, b"a", encode(large(1))), (topic, b"a", b"short")])
    await insert(engine, topic, [None])  # as earlier versions stored tombstones
    monkeypatch.setenv("HEALTH_MAX_RECORD_BYTES", "1024")
    failed = await asyncio.to_thread(say, "replay", "--all", "--yes")
    assert isinstance(failed.exception, HealthError)
    assert "1 dead letter replayed." in failed.output
    assert re.search(
        r"1 dead letter not replayed: its value has [\d,]+ bytes, and HEALTH_MAX_RECORD_BYTES", failed.output
    )
    assert "1 dead letter not replayed: it has no value" in failed.output
    left = await query(engine, "SELECT value FROM dead_letters WHERE replayed_at IS NULL ORDER BY id")
    assert [row.value == b"short" for row in left] == [False, False]


async def test_a_replay_that_takes_too_long_goes_on_in_smaller_parts(
    small: Settings, settings: Settings, engine: AsyncEngine, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A topic that confirms a few records within the patience, and never as many as were refused."""
    await refuse(small, engine, [(settings.topic_usage, b"acme", encode(large(number))) for number in range(40)])
    send, tried = publishing._send, []

    async def slowly(producer: AIOKafkaProducer, records: Sequence[Any]) -> None:
        tried.append(len(records))
        await asyncio.sleep(0.2 * len(records))
        await send(producer, records)

    monkeypatch.setattr(publishing, "PATIENCE_SECONDS", 3.5)
    monkeypatch.setattr(publishing, "_send", slowly)
    replayed = await asyncio.to_thread(say, "replay", "--all", "--yes")
    assert replayed.exit_code == 0, replayed.output
    assert "40 dead letters replayed." in replayed.output
    assert tried == [40, 20, 10, 10, 20, 10, 10]
    async with consuming(settings):
        await folded_up_to(engine, 80)
    assert await used(engine) == 40


async def test_replaying_without_kafka_says_so_and_changes_nothing(
    small: Settings, settings: Settings, engine: AsyncEngine, say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    await refuse(small, engine, [(settings.topic_usage, b"acme", encode(large(1)))])
    monkeypatch.setenv("HEALTH_KAFKA_BOOTSTRAP_SERVERS", f"127.0.0.1:{free_port()}")
    failed = await asyncio.to_thread(say, "replay", "--all", "--yes")
    assert isinstance(failed.exception, HealthError)
    assert "Kafka can't be used" in str(failed.exception)
    assert "0 of 1 are replayed. Check HEALTH_KAFKA_BOOTSTRAP_SERVERS" in str(failed.exception)
    assert await query(engine, "SELECT 1 FROM dead_letters WHERE replayed_at IS NOT NULL") == []


async def test_the_list_shows_and_the_show_shows_all(
    small: Settings, settings: Settings, engine: AsyncEngine, say: Say
) -> None:
    nasty = b'[red]{"a": "\x1b[31m\xc3\xbc"}\nsecond line'
    await refuse(small, engine, [(settings.topic_usage, b"acme", nasty), (settings.topic_ticket, None, b"\xff")])
    rows = await query(engine, "SELECT id, topic, reason FROM dead_letters ORDER BY id DESC")
    listed = (await asyncio.to_thread(say, "list")).output
    assert [int(number) for number in re.findall(r"^ *(\d+) ", listed, re.MULTILINE)] == [row.id for row in rows]
    assert all(row.topic in listed.replace("\n", "") for row in rows)
    assert (await asyncio.to_thread(say, "list", "--account", "acme")).output.count("acme") == 1
    cut = await asyncio.to_thread(say, "list", "--limit", "1")
    assert "There are more than 1" in cut.output
    [text] = [row.id for row in rows if row.topic == settings.topic_usage]
    shown = (await asyncio.to_thread(say, "show", str(text))).output
    assert "\x1b" not in shown
    assert "[red]" in shown
    assert "second line" in shown.splitlines()
    assert "ü" in shown
    missing = await asyncio.to_thread(say, "show", "99999")
    assert "There is no dead letter 99999" in str(missing.exception)


async def test_a_list_of_nothing_says_so_and_which_topics_there_are(settings: Settings, say: Say) -> None:
    for words, said in (
        ((), "There are no dead letters."),
        (("--topic", settings.topic_usage), "There are no such dead letters."),
        (("--topic", "nope"), f"There are no dead letters of a topic nope. The topics are {settings.topic_usage}, "),
    ):
        assert (await asyncio.to_thread(say, "list", *words)).output.startswith(said)


async def test_mistakes_of_a_replay_get_one_line(settings: Settings, say: Say) -> None:
    for words, said in (
        ([], "Give IDs, or --topic TOPIC, or --all"),
        (["1", "--all"], "Give IDs, or --topic TOPIC, or --all"),
        (["1", "2"], "Dead letter 1 isn't among those to be replayed"),
    ):
        failed = await asyncio.to_thread(say, "replay", *words)
        assert isinstance(failed.exception, HealthError)
        assert said in str(failed.exception)
    for words in (["0"], ["x"], [str(2**63)]):
        assert (await asyncio.to_thread(say, "replay", *words)).exit_code == 2


# --- Relay ------------------------------------------------------------------------------------------------------


async def test_dead_letters_are_relayed_with_their_story(relaying: Settings, engine: AsyncEngine) -> None:
    created = await create_topics(relaying)
    target = f"{relaying.topic_usage}.dead-letters"
    assert created[target]
    sent = [
        RawRecord(relaying.topic_usage, b"acme", b"\xff\x00", [("trace", b"\x01")], 1),
        RawRecord(relaying.topic_usage, b"acme", b"", [], 1),
        RawRecord(relaying.topic_usage, None, b"{}", [], 1),
        RawRecord(relaying.topic_usage, None, b"", [("left", b"behind"), ("null", None), ("empty", b"")], 1),
    ]
    publisher = Publisher(relaying)
    await publisher.publish(sent)
    await publisher.stop()
    async with consuming(relaying), relay_running(engine, relaying) as pulse:
        await folded_up_to(engine, len(sent))
        await eventually(partial(all_relayed, engine), "all are relayed")
        assert pulse.ready() is None
    letters = await query(engine, "SELECT * FROM dead_letters ORDER BY id")
    records = await read_all(relaying.kafka_bootstrap_servers, target, len(sent))
    assert len(records) == len(sent)
    for original, letter, relayed in zip(sent, letters, records, strict=True):
        assert (relayed.key, relayed.value) == (original.key, original.value)
        count = len(original.headers)
        assert relayed.headers[:count] == tuple(original.headers)
        story = dict(relayed.headers[count:])
        assert story.pop("health-dead-letter-timestamp").decode() == letter.recorded_at.isoformat()
        assert story == {
            "health-dead-letter-id": str(letter.id).encode(),
            "health-dead-letter-reason": letter.reason.encode(),
            "health-dead-letter-topic": relaying.topic_usage.encode(),
            "health-dead-letter-partition": b"1",
            "health-dead-letter-offset": str(letter.offset).encode(),
        }


async def insert(engine: AsyncEngine, topic: str, values: Sequence[bytes | None], headers: str = "[]") -> None:
    for offset, value in enumerate(values):
        await query(
            engine,
            'INSERT INTO dead_letters (topic, partition, "offset", reason, key, value, headers, recorded_at)'
            " VALUES (:topic, 0, :offset, 'test', 'k', :value, CAST(:headers AS jsonb), now()) RETURNING id",
            topic=topic,
            offset=offset,
            value=value,
            headers=headers,
        )


async def test_a_record_too_large_is_relayed_without_its_value(relaying: Settings, engine: AsyncEngine) -> None:
    await create_topics(relaying)
    values = [b"before", b"x" * 3_000_000, b"after"]
    await insert(engine, relaying.topic_usage, values)
    huge_header = f'[["h", "{"QUJD" * 1_000_000}"]]'
    await insert(engine, relaying.topic_ticket, [b"v"], huge_header)
    async with relay_running(engine, relaying):
        await eventually(partial(all_relayed, engine), "all are relayed")
    records = await read_all(relaying.kafka_bootstrap_servers, f"{relaying.topic_usage}.dead-letters", 3)
    left_out = [dict(record.headers).get("health-dead-letter-left-out") for record in records]
    assert {(record.value, header) for record, header in zip(records, left_out, strict=True)} == {
        (b"before", None),
        (None, b"value"),
        (b"after", None),
    }
    [shortest] = await read_all(relaying.kafka_bootstrap_servers, f"{relaying.topic_ticket}.dead-letters", 1)
    assert (shortest.key, shortest.value) == (None, None)
    assert dict(shortest.headers)["health-dead-letter-left-out"] == b"key, value, headers"
    stored = await query(engine, "SELECT octet_length(value) AS size FROM dead_letters ORDER BY id")
    assert [row.size for row in stored] == [6, 3_000_000, 5, 1]


class KilledError(BaseException):
    """An exception that nobody catches, like the end of a process."""


async def test_a_relay_that_dies_leaves_nothing_out(
    relaying: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create_topics(relaying)
    values = [str(number).encode() for number in range(250)]
    await insert(engine, relaying.topic_usage, values)
    mark, died = dead_letters.mark_relayed, list[int]()

    async def die_once(*arguments: Any) -> None:
        if len(died) < 2:
            died.append(1)
            raise KilledError("killed between Kafka and the commit")
        await mark(*arguments)

    monkeypatch.setattr(dead_letters, "mark_relayed", die_once)
    for _ in range(2):
        with pytest.raises(KilledError):
            await dead_letter_relay.run(engine, relaying, Pulse("relay", 300), asyncio.Event())
    async with relay_running(engine, relaying), relay_running(engine, relaying):
        await eventually(partial(all_relayed, engine), "all are relayed")
    records = await read_all(relaying.kafka_bootstrap_servers, f"{relaying.topic_usage}.dead-letters", 250)
    assert {record.value for record in records} == set(values)
    assert len(records) == 250 + 2 * 100  # the records published before each death, and no more


async def test_a_topic_that_is_missing_stops_no_other(
    relaying: Settings, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "PATIENCE_SECONDS", 0.5)
    await create_topics(relaying.model_copy(update={"topic_usage": f"{relaying.topic_usage}-2"}))
    await insert(engine, relaying.topic_usage, [b"1"])
    await insert(engine, relaying.topic_ticket, [b"2"])
    async with relay_running(engine, relaying) as pulse:

        async def one_is_left() -> bool:
            return len(await query(engine, "SELECT 1 FROM dead_letters WHERE relayed_at IS NULL")) == 1

        async def says_so() -> bool:
            return pulse.ready() == dead_letter_relay.NOT_RELAYED

        await eventually(one_is_left, "the other topic's is relayed")
        await eventually(says_so, "it says that some can't be")
        assert pulse.live() is None
        await create_topics(relaying)
        await eventually(partial(all_relayed, engine), "the rest is relayed")


async def test_the_relay_outlives_kafka(
    database_settings: Settings, engine: AsyncEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setattr(dead_letter_relay, "LONGEST_WAIT", 0.5)
    port = free_port()
    settings = database_settings.model_copy(
        update={"kafka_bootstrap_servers": f"127.0.0.1:{port}", "dead_letter_topics": True}
    )
    await insert(engine, settings.topic_usage, [b"1", b"2"])
    async with relay_running(engine, settings) as pulse:

        async def waits() -> bool:
            return pulse.ready() == dead_letter_relay.NOT_RELAYED

        await eventually(waits, "it waits")
        assert pulse.live() is None
        with EmbeddedBroker(tmp_path, port):
            await create_topics(settings)
            await eventually(partial(all_relayed, engine), "both are relayed")


async def test_a_producer_that_was_refused_a_record_is_replaced(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker's refusal leaves a gap in the producer's sequence, at which it would refuse all that follows."""
    stopped = list[AIOKafkaProducer]()
    stop = AIOKafkaProducer.stop

    async def note(producer: AIOKafkaProducer) -> None:
        stopped.append(producer)
        await stop(producer)

    monkeypatch.setattr(AIOKafkaProducer, "stop", note)
    publisher = Publisher(settings, most_bytes=64 * 1024 * 1024)
    for number in range(3):
        with pytest.raises(publishing.RecordTooLargeError):
            await publisher.publish([RawRecord(settings.topic_usage, b"k", b"x" * 3_000_000)])
        await publisher.publish([RawRecord(settings.topic_usage, b"k", b"small")])
        assert len(stopped) == number + 1
    await publisher.stop()


# --- A relay that is slow, and a dead letter that can't be relayed -------------------------------------------------


async def test_a_bite_that_takes_too_long_comes_back_smaller(relaying: Settings, engine: AsyncEngine) -> None:
    """All 60 at once take more than two seconds, and the limit is half a second."""
    await create_topics(relaying)
    await insert(engine, relaying.topic_usage, [str(number).encode() for number in range(60)])
    await spoil(engine, "PERFORM pg_sleep(0.04)")

    def hurry(connection: Any) -> None:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 500")

    event.listen(engine.sync_engine, "begin", hurry)
    try:
        async with relay_running(engine, relaying):
            await eventually(partial(all_relayed, engine), "all are relayed", 30)
    finally:
        event.remove(engine.sync_engine, "begin", hurry)


@pytest.mark.parametrize("poison", ["date", "trigger"])
async def test_a_letter_that_cannot_be_relayed_is_passed_over(
    relaying: Settings, engine: AsyncEngine, poison: str
) -> None:
    """One dead letter can't be read, as Python has no such year; of another Postgres refuses any change."""
    await create_topics(relaying)
    await insert(engine, relaying.topic_usage, [str(number).encode() for number in range(20)])
    if poison == "date":
        await query(engine, "UPDATE dead_letters SET recorded_at = '20000-01-01' WHERE \"offset\" = 7 RETURNING 1")
    else:
        await spoil(engine, "IF NEW.\"offset\" = 7 THEN RAISE EXCEPTION 'no luck'; END IF")
    before = metrics.NOT_RELAYED.labels(relaying.topic_usage)._value.get()

    async def all_but_one() -> bool:
        left = await query(engine, 'SELECT "offset" FROM dead_letters WHERE relayed_at IS NULL')
        return [row.offset for row in left] == [7]

    async with relay_running(engine, relaying) as pulse:
        await eventually(all_but_one, "all others are relayed")
        await eventually(lambda: asyncio.sleep(0, pulse.ready() is None), "it is ready again")
    assert metrics.NOT_RELAYED.labels(relaying.topic_usage)._value.get() == before + 1


async def spoil(engine: AsyncEngine, does: str) -> None:
    """Have Postgres do that for each letter that is noted as relayed."""
    async with engine.begin() as connection:
        await connection.execute(
            text(f"CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {does}; RETURN NEW; END $$")
        )
        await connection.execute(
            text(
                "CREATE TRIGGER spoil BEFORE UPDATE OF relayed_at ON dead_letters FOR EACH ROW EXECUTE FUNCTION spoil()"
            )
        )
