"""The servers that all contenders share, with a database for each contender, and the service on them."""

import asyncio
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from benchmarks.harness import HOST
from benchmarks.harness.processes import Contender, running
from benchmarks.harness.results import Circumstances
from benchmarks.harness.terminal import say
from service.embedded.ports import free_port
from service.embedded.postgres import EmbeddedPostgres
from service.evaluation.bootstrap import prepare_database
from service.messaging.topics import create_topics
from service.runtime.api_key import Scope
from service.runtime.settings import Settings
from service.storage.database.engine import create_engine
from tests.support.api import make_key
from tests.support.commands import environment
from tests.support.kafka import ApacheKafka
from tests.support.kafka_choice import given_address
from tests.support.kafka_jars import kafka_version
from tests.support.service import settings_for

PARTITIONS = 12
NO_KAFKA = f"{HOST}:1"
POSTGRES_SETTINGS = {
    "shared_buffers": "2GB",
    "effective_cache_size": "8GB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
}
"""An operator's settings for a small server. Commits are durable: fsync and synchronous_commit stay on."""


class TunedPostgres(EmbeddedPostgres):
    """A durable PostgreSQL with the settings above."""

    def __init__(self, folder: Path) -> None:
        """See `EmbeddedPostgres`."""
        super().__init__(folder, durable=True)
        self._settings |= POSTGRES_SETTINGS

    @property
    def pid(self) -> int:
        """The server's first process; all others are its children."""
        return int((self._cluster.data / "postmaster.pid").read_text().splitlines()[0])


@dataclass(frozen=True)
class Arena:
    """Running servers, and a folder for the contenders' files."""

    run: str
    """Part of the names of all topics and groups: a given broker may hold those of an earlier run."""
    folder: Path
    postgres: TunedPostgres
    bootstrap: str

    def create_database(self, name: str) -> str:
        """A new, empty database; returns its URL."""
        query(self.postgres.address, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        query(self.postgres.address, f"CREATE DATABASE {name}")
        return urlsplit(self.postgres.address)._replace(path=f"/{name}").geturl()

    def drop_database(self, url: str) -> None:
        """Drop a database, even while clients are connected."""
        query(self.postgres.address, f"DROP DATABASE IF EXISTS {urlsplit(url).path[1:]} WITH (FORCE)")

    def prepared(self, database: str, *, topics: str = "", partitions: int = PARTITIONS, url: str = "") -> Settings:
        """Settings of the service with tables and topics, as an operator creates them.

        `topics` is the prefix of topics that may exist already, `url` that of a database that does.
        """
        prefix = f"{topics or f'{self.run}-{database}'}-"
        group, url = f"{prefix}{database}", url or self.create_database(database)
        settings = settings_for(url, self.bootstrap, prefix, kafka_group=group, kafka_partitions=partitions)
        prepare_database(settings)
        if self.bootstrap != NO_KAFKA:
            asyncio.run(create_topics(settings))
        return settings

    def service(self, settings: Settings, *words: str, **variables: str) -> closing[Contender]:
        """`account-health WORDS`, started at once as an operator would, until the end of a `with` block."""
        command = [sys.executable, "-P", "-m", "service", *words]
        folder = Path(tempfile.mkdtemp(prefix=f"{settings.kafka_group}-", dir=self.folder))
        return running(words[0], command, environment(settings, **variables), folder)

    @contextmanager
    def serving(self, settings: Settings, *words: str, **variables: str) -> Iterator[tuple[Contender, int]]:
        """The same where it serves the API, and its port."""
        port = free_port()
        # One key sends all requests: it is counted as always, but never delayed.
        variables |= {"HEALTH_HTTP_PORT": str(port), "HEALTH_HTTP_RATE_LIMIT": "1000000"}
        with self.service(settings, *words, **variables) as contender:
            contender.await_port(port)
            yield contender, port


@contextmanager
def run_servers(ran: Circumstances, *, kafka: bool = True) -> Iterator[Arena]:
    """The servers until the end of the block; adds their versions to `ran`.

    HEALTH_TEST_KAFKA may name a broker instead of Apache Kafka.
    """
    say("Starting PostgreSQL and Apache Kafka …" if kafka else "Starting PostgreSQL …")
    # Not a folder under the user's home: Postgres may run as another account.
    with tempfile.TemporaryDirectory(prefix="account-health-bench-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        with TunedPostgres(Path(name, "postgres")) as postgres, _broker(Path(name, "kafka"), kafka) as (address, what):
            version = query(postgres.address, "SHOW server_version")[0][0]
            settings = ", ".join(f"{name}={value}" for name, value in POSTGRES_SETTINGS.items())
            ran.machine["PostgreSQL"] = f"{version}, {settings}, fsync and synchronous_commit on"
            ran.machine["Apache Kafka"] = what
            yield Arena(f"bench-{secrets.token_hex(3)}", Path(name), postgres, address)


@contextmanager
def _broker(folder: Path, wanted: bool) -> Iterator[tuple[str, str]]:
    """The address of a broker, and its version."""
    if not wanted:
        yield NO_KAFKA, "none"
    elif address := given_address():
        yield address, "the one that HEALTH_TEST_KAFKA names"
    else:
        with ApacheKafka(folder, quick=False, heap="1g") as broker:
            yield broker.address, kafka_version()


def url_of(settings: Settings) -> str:
    """The URL of the settings' database."""
    return settings.database_url.get_secret_value()


@asynccontextmanager
async def engine_of(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """The service's own way to its database, until the end of the block."""
    engine = create_engine(settings, "bench")
    try:
        yield engine
    finally:
        await engine.dispose()


def create_key(settings: Settings, scope: Scope) -> dict[str, str]:
    """The headers of a new API key."""

    async def create() -> str:
        async with engine_of(settings) as engine:
            return await make_key(engine, scope)

    return {"Authorization": f"Bearer {asyncio.run(create())}"}


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to a database until the end of the block."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


def query(url: str, statement: str, *values: Any) -> list[Any]:
    """The rows of one statement."""

    async def run() -> list[Any]:
        async with connected(url) as connection:
            return list(await connection.fetch(statement, *values))

    return asyncio.run(run())
