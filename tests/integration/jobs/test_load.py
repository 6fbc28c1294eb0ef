"""`account-health load` against a real Kafka: nothing lost, nothing twice, through signals, crashes and bad input."""

import asyncio
import gc
import gzip
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from msgspec import Struct

from service.jobs.load.files import LoadRequest, is_table, mapping_of, part_files
from service.jobs.load.load import load, rehearse
from service.jobs.load.row_validation import CHUNK_ROWS
from service.jobs.load.second_pass import IN_FLIGHT
from service.messaging.topics import create_topics
from service.runtime.errors import HealthError
from service.runtime.settings import Settings, Signal
from tests.support.cloud_events import cloud_event, produce, record, usage
from tests.support.commands import environment
from tests.support.service import settings_for
from tests.support.topics import create_topics as make_topics

pytestmark = pytest.mark.anyio
COLUMNS = ("subject=account", "time=at", "feature=what")
OLD = datetime(2020, 1, 31, 12, tzinfo=UTC)
MANY_ROWS = 300_000
"""Enough rows that sending takes a second or so, in which it can be interrupted."""


class Event(Struct):
    """The checked parts of an event."""

    id: str
    source: str
    subject: str
    time: str
    data: dict[str, Any]
    backfill: bool = False


decode_event = msgspec.json.Decoder(Event).decode


@dataclass
class Received:
    """The contents of a topic: the count of each (source, id), and the partitions of each account's events."""

    ids: Counter[tuple[str, str]] = field(default_factory=Counter)
    partitions: dict[str, set[int]] = field(default_factory=dict)
    keys: set[tuple[str, str]] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)


@dataclass
class Loader:
    """Loads into topics of its own, with a working folder and a state folder of its own."""

    settings: Settings
    folder: Path

    @property
    def state(self) -> Path:
        return self.folder / "state"

    async def load(self, *files: Path, columns: Sequence[str] = COLUMNS, dry_run: bool = False, **wishes: Any) -> None:
        """Load in this process; `wishes` are fields of `LoadRequest`."""
        constants = wishes.pop("constants", [])
        signal: Signal | None = "usage" if is_table(files[0]) else None
        mapping = mapping_of(files, signal, columns if signal else [], constants, wishes.get("timezone"))
        order = LoadRequest(files, signal, mapping, self.state, **wishes)
        await (rehearse if dry_run else load)(order, self.settings, asyncio.Event())

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        """Run the command as its user does."""
        command = [sys.executable, "-m", "service", "load", "--state-dir", str(self.state), *map(str, words)]
        env = environment(self.settings)
        return subprocess.Popen(
            command, env=env, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def start_table(self, file: Path) -> subprocess.Popen[str]:
        columns = [word for column in COLUMNS for word in ("--column", column)]
        return self.start("--topic", self.settings.topic_usage, *columns, file)

    def checkpoint(self) -> dict[str, Any] | None:
        """The only checkpoint there is."""
        found = [json.loads(path.read_bytes()) for path in self.state.glob("*.json")]
        assert len(found) <= 1
        return found[0] if found else None

    def wait_until_a_part_is_sent(self, process: subprocess.Popen[str]) -> None:
        deadline = time.monotonic() + 60
        while (found := self.checkpoint()) is None or found["next_row"] == 1:
            assert time.monotonic() < deadline
            assert process.poll() is None, "it ended before it could be interrupted"
            time.sleep(0.002)

    async def received(self, signal: Signal = "usage") -> Received:
        """Everything that the signal's topic holds."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self.settings.kafka_bootstrap_servers, max_partition_fetch_bytes=4 * 1024 * 1024
        )
        await consumer.start()
        try:
            topic = self.settings.topics[signal]
            partitions = [TopicPartition(topic, number) for number in range(self.settings.kafka_partitions)]
            consumer.assign(partitions)
            await consumer.seek_to_beginning()
            left = {partition: end for partition, end in (await consumer.end_offsets(partitions)).items() if end}
            received = Received()
            while left:
                for partition, records in (await consumer.getmany(timeout_ms=1000)).items():
                    _take(received, partition.partition, records)
                    if records[-1].offset + 1 >= left[partition]:
                        del left[partition]
            return received
        finally:
            await consumer.stop()


def _take(received: Received, partition: int, records: list[Any]) -> None:
    for one in records:
        event = decode_event(one.value)
        received.ids[event.source, event.id] += 1
        received.partitions.setdefault(event.subject, set()).add(partition)
        received.keys.add((one.key.decode(), event.subject))
        if len(received.events) < 1000:
            received.events.append(event)


@pytest.fixture
async def loader(bootstrap: str, topic_prefix: str, tmp_path: Path) -> Loader:
    settings = settings_for("postgresql://127.0.0.1:1/unused", bootstrap, topic_prefix, kafka_partitions=6)
    await create_topics(settings)
    return Loader(settings, tmp_path)


def table(path: Path, rows: int, at: datetime | None = None) -> Path:
    moments = pa.array([at or datetime.now(UTC) - timedelta(days=1)] * rows, pa.timestamp("ms", "UTC"))
    accounts = pa.array([f"acct-{row % 101}" for row in range(rows)])
    features = pa.array(["login"] * rows)
    columns = {"account": accounts, "at": moments, "what": features}
    pq.write_table(pa.table(columns), path, row_group_size=70_000)
    return path


async def test_every_row_arrives_once_as_backfill_beside_the_accounts_live_events(loader: Loader) -> None:
    process = loader.start_table(table(loader.folder / "log.parquet", 50_000))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    assert err == ""
    assert "log.parquet: 50,000 events of 101 accounts" in out
    assert "log.parquet: 50,000 events sent in " in out
    assert "skipped as late" not in out
    received = await loader.received()
    (source,) = {source for source, _ in received.ids}
    assert received.ids == Counter({(source, str(row)): 1 for row in range(1, 50_001)})
    assert all(event.backfill for event in received.events)
    assert all(key == subject for key, subject in received.keys)
    await _send_live_events(loader, received)
    both = await loader.received()
    assert both.ids.total() == 50_000 + 101
    assert all(len(partitions) == 1 for partitions in both.partitions.values())
    assert set.union(*both.partitions.values()) == set(range(6))


async def _send_live_events(loader: Loader, received: Received) -> None:
    """Send one event per account, with the partition left to the client."""
    topic = loader.settings.topic_usage
    live = [record(topic, usage(account_id)) for account_id in received.partitions]
    await produce(loader.settings.kafka_bootstrap_servers, live)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_load_that_was_asked_to_stop_goes_on_where_it_was(
    loader: Loader, number: signal.Signals, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    log = table(loader.folder / "log.parquet", MANY_ROWS)
    process = loader.start_table(log)
    loader.wait_until_a_part_is_sent(process)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert f"of {MANY_ROWS:,} rows of log.parquet are done. Run the same command again to go on\n" in err
    checkpoint = loader.checkpoint()
    assert checkpoint is not None
    before = await loader.received()
    assert before.ids.total() == checkpoint["next_row"] - 1 < MANY_ROWS, "nothing is in Kafka but what was noted"
    await loader.load(log)
    assert f"log.parquet: continuing at row {checkpoint['next_row']:,} of {MANY_ROWS:,}" in capsys.readouterr().out
    received = await loader.received()
    assert len(received.ids) == MANY_ROWS
    assert set(received.ids.values()) == {1}


async def test_a_load_that_was_killed_repeats_little_and_loses_nothing(loader: Loader) -> None:
    log = table(loader.folder / "log.parquet", MANY_ROWS)
    process = loader.start_table(log)
    loader.wait_until_a_part_is_sent(process)
    process.kill()
    process.communicate(timeout=60)
    checkpoint = loader.checkpoint()
    assert checkpoint is not None
    assert 1 < checkpoint["next_row"] <= MANY_ROWS
    await loader.load(log)
    received = await loader.received()
    (source,) = {source for source, _ in received.ids}
    assert received.ids.keys() == {(source, str(row)) for row in range(1, MANY_ROWS + 1)}
    assert max(received.ids.values()) <= 2
    assert received.ids.total() - MANY_ROWS <= (IN_FLIGHT + 1) * CHUNK_ROWS, "at most what was on its way comes twice"


async def test_a_finished_load_does_nothing_unless_it_is_to_be_sent_again(
    loader: Loader, capsys: pytest.CaptureFixture[str]
) -> None:
    log = table(loader.folder / "log.parquet", 100)
    await loader.load(log)
    capsys.readouterr()
    await loader.load(log)
    told = capsys.readouterr().out
    assert told.startswith("log.parquet: 100 events were loaded before. Nothing to do; --again sends")
    assert told.count("\n") == 1
    assert (await loader.received()).ids.total() == 100
    await loader.load(log, again=True)
    received = await loader.received()
    assert (len(received.ids), received.ids.total()) == (100, 200), (
        "the same identities, so that duplicates are dropped"
    )


async def test_a_recreated_topic_is_loaded_again(loader: Loader, capsys: pytest.CaptureFixture[str]) -> None:
    log = table(loader.folder / "log.parquet", 100)
    await loader.load(log)
    admin = AIOKafkaAdminClient(bootstrap_servers=loader.settings.kafka_bootstrap_servers)
    await admin.start()
    try:
        await admin.delete_topics([loader.settings.topic_usage])
        while loader.settings.topic_usage in await admin.list_topics():
            await asyncio.sleep(0.05)
    finally:
        await admin.close()
    await create_topics(loader.settings)
    await loader.load(log)
    assert "was created again since; loading from the beginning" in capsys.readouterr().out
    assert (await loader.received()).ids.total() == 100


async def test_another_mapping_makes_other_events_of_the_same_rows(loader: Loader) -> None:
    log = table(loader.folder / "log.parquet", 10)
    await loader.load(log)
    await loader.load(log, constants=["quantity=2"])
    received = await loader.received()
    assert (len(received.ids), received.ids.total()) == (20, 20)


async def test_an_old_log_is_announced_as_late_and_moves_to_now(
    loader: Loader, capsys: pytest.CaptureFixture[str]
) -> None:
    log = table(loader.folder / "log.parquet", 10, OLD)
    await loader.load(log, dry_run=True)
    told = capsys.readouterr().out
    assert "10 of them are older than 92 days (HEALTH_RETENTION_DAYS) and will be skipped as late" in told
    assert "add --shift-to-now" in told
    await loader.load(log)
    capsys.readouterr()
    await loader.load(log, shift_to_now=True)
    told = capsys.readouterr().out
    assert "All times move by +" in told
    assert "skipped as late" not in told
    received = await loader.received()
    assert len(received.ids) == 20, "moved events aren't dropped as duplicates of those that came too late"
    moved = [event for event in received.events if "moved" in event.source]
    ages = [datetime.now(UTC) - datetime.fromisoformat(event.time) for event in moved]
    assert len(ages) == 10
    assert all(timedelta(0) <= age <= timedelta(days=1, minutes=5) for age in ages)


async def test_a_load_that_goes_on_another_day_moves_by_the_days_it_began_with(loader: Loader) -> None:
    log = table(loader.folder / "log.parquet", 10, OLD)
    await loader.load(log, shift_to_now=True)
    (path,) = loader.state.glob("*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"next_row": 6, "sent": 5, "shift_days": 7}))
    other = table(loader.folder / "other.parquet", 3, OLD + timedelta(days=1))
    await loader.load(log, other, shift_to_now=True)
    times = Counter(event.time for event in (await loader.received()).events)
    assert times["2020-02-07T12:00:00.000000Z"] == 5
    assert times["2020-02-08T12:00:00.000000Z"] == 3, "a file that joins moves with it"
    assert times.total() == 18


async def test_a_dry_run_checks_and_sends_nothing(loader: Loader, capsys: pytest.CaptureFixture[str]) -> None:
    loader.settings = loader.settings.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1"})
    await loader.load(table(loader.folder / "log.parquet", 10), dry_run=True)
    told = capsys.readouterr().out
    assert '"subject":"acct-0"' in told
    assert told.endswith("Nothing was sent.\n")
    assert loader.checkpoint() is None


async def test_events_go_to_the_topic_of_their_type(loader: Loader) -> None:
    ticket = {"ticket_id": "t", "status": "open", "priority": "low", "created_at": datetime.now(UTC).isoformat()}
    events = [usage("a"), cloud_event("ticket", "b", ticket), cloud_event("account", "c", {"seats": 5}), usage("d")]
    log = loader.folder / "log.jsonl.gz"
    log.write_bytes(gzip.compress("\n".join(map(json.dumps, events)).encode()))
    await loader.load(log)
    assert set((await loader.received("usage")).partitions) == {"a", "d"}
    assert set((await loader.received("ticket")).partitions) == {"b"}
    assert set((await loader.received("survey")).partitions) == set()
    (account,) = (await loader.received("account")).events
    assert account.backfill
    assert account.data == {"seats": 5}


async def test_rows_that_cannot_be_events_stop_a_load_before_anything_is_sent(
    loader: Loader, capsys: pytest.CaptureFixture[str]
) -> None:
    events = [usage(str(number)) for number in range(30_000)]
    events[25_000] |= {"data": {"feature": "x", "quantity": 0}}
    events[25_001] |= {"time": "yesterday"}
    log = loader.folder / "log.ndjson"
    log.write_text("\n".join(map(json.dumps, events)))
    with pytest.raises(HealthError, match=r"log\.ndjson row 25,001: data\.quantity: .*\(the first of 2 such rows\)"):
        await loader.load(log)
    assert (await loader.received()).ids.total() == 0
    await loader.load(log, skip_invalid=True)
    told = capsys.readouterr().out
    assert "row 25,002: time: " in told
    assert "29,998 events sent" in told
    assert "2 rows skipped" in told
    received = await loader.received()
    assert len(received.ids) == received.ids.total() == 29_998


async def test_rows_are_checked_again_where_the_first_check_found_invalid_ones(loader: Loader) -> None:
    events = [usage(str(number)) for number in range(CHUNK_ROWS + 2)]
    events[CHUNK_ROWS] |= {"time": "yesterday"}
    log = loader.folder / "log.ndjson"
    log.write_text("\n".join(map(json.dumps, events)))
    await loader.load(log, skip_invalid=True)
    (path,) = loader.state.glob("*.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"next_row": 1, "sent": 0, "skipped": 0}))
    with pytest.raises(HealthError, match=r"row 20,001: time: .* 20,000 of 20,002 rows of .* are done.*--skip-invalid"):
        await loader.load(log)
    assert (await loader.received()).ids.total() == CHUNK_ROWS + 1 + CHUNK_ROWS, "what comes before it was sent"


async def test_what_a_log_needs_is_looked_up_before_anything_is_sent(loader: Loader) -> None:
    loader.settings = loader.settings.model_copy(update={"topic_account": "not-created"})
    log = loader.folder / "log.ndjson"
    log.write_text("\n".join(map(json.dumps, [usage("a"), cloud_event("account", "c", {"seats": 5})])))
    with pytest.raises(HealthError, match=r"has no topic not-created\. Run: account-health topics create"):
        await loader.load(log)
    assert (await loader.received()).ids.total() == 0


async def test_a_batch_that_kafka_refuses_ends_the_load_with_one_error(
    loader: Loader, caplog: pytest.LogCaptureFixture
) -> None:
    topic = f"{loader.settings.topic_usage}-narrow"
    loader.settings = loader.settings.model_copy(update={"topic_usage": topic})
    configs = {"max.message.bytes": "2000"}
    await make_topics(loader.settings.kafka_bootstrap_servers, topic, partitions=6, configs=configs)
    with pytest.raises(
        HealthError, match=r"doesn't accept batches of 0.5 MB\. 0 of 50,000 rows .*Raise max\.message\.bytes"
    ):
        await loader.load(table(loader.folder / "log.parquet", 50_000))
    gc.collect()
    assert [message for message in caplog.messages if "never retrieved" in message] == []


async def test_a_state_folder_that_cannot_be_written_is_noticed_before_anything_is_sent(loader: Loader) -> None:
    loader.state.touch()
    with pytest.raises(HealthError, match="Give another folder with --state-dir"):
        await loader.load(table(loader.folder / "log.parquet", 10))
    assert (await loader.received()).ids.total() == 0


async def test_a_folder_of_part_files_goes_on_where_it_was(loader: Loader, capsys: pytest.CaptureFixture[str]) -> None:
    folder = loader.folder / "log"
    folder.mkdir()
    table(folder / "part-00000.parquet", 10)
    table(folder / "part-00001.parquet", 20)
    (folder / "_SUCCESS").touch()
    await loader.load(*part_files([folder]))
    first = next(path for path in loader.state.glob("*.json") if "part-00001" in path.read_text())
    first.write_text(json.dumps(json.loads(first.read_text()) | {"next_row": 16, "sent": 15}))
    capsys.readouterr()
    table(folder / "part-00002.parquet", 30)
    await loader.load(*part_files([folder]))
    told = capsys.readouterr().out
    assert "part-00000.parquet: 10 events were loaded before" in told
    assert "part-00001.parquet: continuing at row 16 of 20" in told
    assert "part-00002.parquet: 30 events sent" in told
    received = await loader.received()
    assert (len(received.ids), received.ids.total()) == (60, 65)


async def test_times_without_a_zone_are_said_once_to_be_utc(loader: Loader, capsys: pytest.CaptureFixture[str]) -> None:
    local = pa.array([datetime(2020, 7, 1, 12)], pa.timestamp("us"))  # noqa: DTZ001 - which the load is to find
    files = [loader.folder / "a.parquet", loader.folder / "b.parquet"]
    for number, file in enumerate(files):
        pq.write_table(pa.table({"account": [f"{number}"], "at": local, "what": ["login"]}), file)
    await loader.load(*files)
    assert (
        capsys.readouterr().out.count("Times of at don't say of which time zone they are, and are taken for UTC") == 1
    )
    await loader.load(*files, timezone="Europe/Berlin")
    assert "are taken for UTC" not in capsys.readouterr().out
    times = Counter(event.time for event in (await loader.received()).events)
    assert times == {"2020-07-01T12:00:00.000000Z": 2, "2020-07-01T10:00:00.000000Z": 2}


async def test_the_same_file_twice_is_a_mistake(loader: Loader) -> None:
    log = table(loader.folder / "log.parquet", 10)
    with pytest.raises(HealthError, match="Give it once"):
        await loader.load(log, log)


async def test_a_file_without_rows_is_no_mistake(loader: Loader, capsys: pytest.CaptureFixture[str]) -> None:
    await loader.load(table(loader.folder / "empty.parquet", 0), table(loader.folder / "log.parquet", 1))
    assert "empty.parquet: no events" in capsys.readouterr().out
    assert (await loader.received()).ids.total() == 1


async def test_mistakes_get_one_line_each(loader: Loader) -> None:
    log = table(loader.folder / "log.parquet", 10)
    (loader.folder / "text.parquet").write_text("no table")
    unknown = loader.start("--topic", "other", log)
    unreadable = loader.start_table(loader.folder / "text.parquet")
    (loader.folder / "wide.ndjson").write_text("{}", "utf-16")
    wide = loader.start(loader.folder / "wide.ndjson")
    elsewhere = loader.start("--timezone", "Mars/Phobos", loader.folder / "wide.ndjson")
    loader.settings = loader.settings.model_copy(update={"kafka_bootstrap_servers": "127.0.0.1:1"})
    away = loader.start_table(log)
    for process, message in {
        unknown: "account-health: --topic other is not one of this service's. Give one of ",
        unreadable: "text.parquet can't be read as Parquet: ",
        wide: "holds UTF-16, not one event per line. Write it as UTF-8: iconv -f UTF-16",
        elsewhere: "--timezone Mars/Phobos is not a time zone that this machine knows",
        away: "Kafka at 127.0.0.1:1 can't be reached. Check HEALTH_KAFKA_BOOTSTRAP_SERVERS",
    }.items():
        _, err = process.communicate(timeout=60)
        assert process.returncode == 1
        assert message in err
        assert err.count("\n") == 1
