"""Refusals by Postgres end commands with one line that names the remedy."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from typer.testing import CliRunner

from service.cli.app import app
from service.runtime.errors import HealthError
from service.runtime.settings import Settings
from service.storage.database import migrate as schema
from service.storage.database.engine import create_engine
from tests.support.postgres import PostgresServer

MAY_NOT = "The database user of HEALTH_DATABASE_URL may not do that: permission denied for"


def refused(*words: str) -> str:
    """The message of a command that has to fail."""
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, HealthError), result.exception
    return str(result.exception)


def on(url: str, *statements: str) -> None:
    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(run())


@pytest.fixture
def stranger(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """HEALTH_DATABASE_URL is that of a role that was granted nothing; gives its name."""
    parts = urlsplit(database_url)
    name = f"stranger_{parts.path.rsplit('_', 1)[-1]}"
    on(database_url, f"CREATE ROLE {name} LOGIN PASSWORD 'known'")
    theirs = parts._replace(netloc=f"{name}:known@{parts.hostname}:{parts.port}").geturl()
    monkeypatch.setenv("HEALTH_DATABASE_URL", theirs)
    monkeypatch.setenv("HEALTH_ENCRYPTION_KEY", "a key that only tests use")
    yield name
    on(database_url, f"DROP ROLE {name}")


@pytest.mark.parametrize(
    "words",
    [
        ("migrate",),
        ("migrate", "--show"),
        ("progress", "show"),
        ("api-key", "list"),
        ("webhooks", "list"),
        ("dead-letters", "list"),
        ("sources",),
        ("secrets", "rotate"),
        ("reader", "create"),
        ("reader", "create", "--print-sql"),
        ("export",),
    ],
    ids=" ".join,
)
@pytest.mark.usefixtures("stranger")
def test_a_user_without_rights_gets_a_message(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    said = refused(*words)
    assert said.startswith(MAY_NOT), said
    assert said.endswith("Use the database's owner, or have its owner grant it")
    assert not list(tmp_path.iterdir())


def test_a_user_who_may_not_create_tables_gets_a_message(
    stranger: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = postgres_server.create_empty()
    try:
        parts = urlsplit(empty)
        theirs = parts._replace(netloc=f"{stranger}:known@{parts.hostname}:{parts.port}").geturl()
        monkeypatch.setenv("HEALTH_DATABASE_URL", theirs)
        assert refused("migrate").startswith(f"{MAY_NOT} schema public. Use the database's owner")
    finally:
        postgres_server.drop(empty)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ("sslmode=bogus", "`sslmode` parameter must be one of: disable, allow, prefer,"),
        ("sslmode=verify-ca", "/.postgresql/root.crt"),
        ("sslmod=require", 'unrecognized configuration parameter "sslmod"'),
        ("connect_timeout=5", 'unrecognized configuration parameter "connect_timeout"'),
    ],
)
@pytest.mark.parametrize("words", [("migrate",), ("progress", "show")], ids=" ".join)
def test_an_unusable_parameter_is_named(
    words: tuple[str, ...],
    parameters: str,
    said: str,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HEALTH_DATABASE_URL", f"{database_url}?{parameters}")
    told = refused(*words)
    assert told.startswith("Postgres can't be used: ")
    assert said in told
    assert told.endswith("Check the parameters of HEALTH_DATABASE_URL, those after its ?")


@pytest.mark.parametrize("name", ["sslrootcert", "sslcert", "sslkey", "sslcrl"])
def test_a_file_that_is_not_there_is_named(name: str, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"{database_url}?sslmode=verify-full&{name}=/not/there.pem"
    monkeypatch.setenv("HEALTH_DATABASE_URL", url)
    named = f"{name} of HEALTH_DATABASE_URL can't be read: /not/there.pem: No such file or directory"
    for words in (("migrate",), ("progress", "show")):
        assert named in refused(*words)
    with pytest.raises(HealthError, match=named):  # processes too: they would wait for ever
        create_engine(Settings(_env_file=None, database_url=url), "api")


def test_a_view_of_others_is_named_before_ours_are_dropped(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEALTH_DATABASE_URL", database_url)
    on(database_url, "CREATE VIEW theirs AS SELECT account_id FROM analytics.alerts")
    said = refused("migrate", "--to", "0007", "--yes")
    assert "cannot drop view analytics.alerts" in said
    assert "view theirs depends on view analytics.alerts. Drop what depends on it first" in said
    assert schema.current(database_url) == schema.revisions()[-1].revision
