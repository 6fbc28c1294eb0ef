"""The servers that all contenders share, with a database for each contender."""

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg

from service.embedded.postgres import EmbeddedPostgres
from service.evaluation.bootstrap import prepare_database
from service.messaging.topics import create_topics
from service.runtime.settings import Settings
from tests.support.kafka import ApacheKafka
from tests.support.kafka_choice import given_address
from tests.support.kafka_jars import kafka_version

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
    kafka_version: str

    def postgres_version(self) -> str:
        """The server's version."""
        rows = query(self.postgres.address, "SHOW server_version")
        return str(rows[0][0])

    def create_database(self, name: str) -> str:
        """A new, empty database; returns its URL."""
        query(self.postgres.address, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        query(self.postgres.address, f"CREATE DATABASE {name}")
        return urlsplit(self.postgres.address)._replace(path=f"/{name}").geturl()

    def drop_database(self, url: str) -> None:
        """Drop a database, even while clients are connected."""
        query(self.postgres.address, f"DROP DATABASE IF EXISTS {urlsplit(url).path[1:]} WITH (FORCE)")

    def settings(self, database_url: str, topics: str, group: str, partitions: int) -> Settings:
        """The service's settings; `topics` is the prefix of its topics' names."""
        named = {f"topic_{signal}": f"{topics}-{signal}" for signal in ("usage", "ticket", "survey", "account")}
        values: dict[str, Any] = {
            "database_url": database_url,
            "kafka_bootstrap_servers": self.bootstrap,
            "kafka_group": group,
            "kafka_partitions": partitions,
            **named,
        }
        return Settings(_env_file=None, **values)


@contextmanager
def run_servers() -> Iterator[Arena]:
    """The servers until the end of the block. HEALTH_TEST_KAFKA may name a broker; otherwise Apache Kafka is
    started.
    """
    # Not a folder under the user's home: Postgres may run as another account.
    folder = Path(tempfile.mkdtemp(prefix="account-health-bench-"))
    folder.chmod(0o755)
    run = f"bench-{secrets.token_hex(3)}"
    try:
        with TunedPostgres(folder / "postgres") as postgres:
            if address := given_address():
                yield Arena(run, folder, postgres, address, "the one that HEALTH_TEST_KAFKA names")
                return
            with ApacheKafka(folder / "kafka", quick=False, heap="1g") as kafka:
                yield Arena(run, folder, postgres, kafka.address, kafka_version())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def prepare(settings: Settings) -> None:
    """Create tables and topics, as an operator does."""
    prepare_database(settings)
    asyncio.run(create_topics(settings))


def query(url: str, statement: str, *values: Any) -> list[Any]:
    """The rows of one statement."""

    async def run() -> list[Any]:
        connection = await asyncpg.connect(url)
        try:
            return list(await connection.fetch(statement, *values))
        finally:
            await connection.close()

    return asyncio.run(run())
