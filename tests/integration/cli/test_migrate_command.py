"""`account-health migrate` on a real Postgres: forward, and back to where an earlier version is at home."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from service.cli.app import app
from service.runtime.errors import HealthError
from service.storage.database import migrate as schema

Say = Callable[..., Result]


@pytest.fixture
def say(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Say:
    """Runs `account-health migrate …` against the test's database; a `HealthError` comes out as it is."""
    monkeypatch.setenv("HEALTH_DATABASE_URL", database_url)

    def run(*words: str, answer: str = "") -> Result:
        result = CliRunner().invoke(app, ["migrate", *words], input=answer)
        if isinstance(result.exception, HealthError):
            raise result.exception
        return result

    return run


def test_it_shows_where_the_database_is(say: Say) -> None:
    newest = schema.revisions()[-1].revision
    marked = [line for line in say("--show").stdout.splitlines() if line.startswith(">")]
    assert [line.split()[1] for line in marked] == [newest]


def test_it_shows_a_line_for_each_and_does_not_show_and_go(say: Say) -> None:
    shown = [line for line in say("--show").stdout.splitlines() if "0008" in line]
    assert shown == ["  0008  Views for analysts, in the schema `analytics`; deploy/analytics.md describes them."]
    with pytest.raises(HealthError, match="Give one of them"):
        say("--show", "--to", "0007")


def test_going_back_says_what_is_lost_and_asks_first(say: Say, database_url: str) -> None:
    newest = schema.revisions()[-1].revision
    result = say("--to", "0005", answer="n\n")
    assert result.exit_code == 1
    assert "0006 is taken back: Forecasts are gone; they are made again after the next upgrade." in result.stderr
    assert "0005 is taken back" not in result.stderr
    assert schema.current(database_url) == newest


def test_there_and_back(say: Say, database_url: str) -> None:
    newest = schema.revisions()[-1].revision
    assert say("--to", "0005", "--yes").exit_code == 0
    assert schema.current(database_url) == "0005"
    assert say().exit_code == 0
    assert schema.current(database_url) == newest


def test_nothing_is_taken_back_under_a_running_process(say: Say, database_url: str) -> None:
    async def while_connected() -> None:
        async with AsyncExitStack() as stack:
            for name in ("sweep", "api", "api"):
                ours = {"application_name": f"account-health {name}"}
                connection = await asyncpg.connect(database_url, server_settings=ours)
                stack.push_async_callback(connection.close)
            with pytest.raises(HealthError, match=r"connected to the database: api, sweep\. Stop the service first"):
                await asyncio.to_thread(say, "--to", "0006")  # before it asks

    asyncio.run(while_connected())
    assert schema.current(database_url) == schema.revisions()[-1].revision


def test_the_schema_of_a_later_version_stays_as_it_is(say: Say, database_url: str) -> None:
    """Going back to an earlier version leaves it on a schema that it doesn't know, and has to work on."""

    async def migrated_by_a_later_version() -> None:
        connection = await asyncpg.connect(database_url)
        await connection.execute("UPDATE alembic_version SET version_num = '9999'")
        await connection.close()

    asyncio.run(migrated_by_a_later_version())
    result = say()
    assert (result.exit_code, result.exception) == (0, None)
    assert "revision 9999, of a later version; this version works on it. Nothing was changed." in result.output
    assert "schema_of_a_later_version" in result.output
    assert "revision 9999, of a later version" in say("--show").stdout
    assert schema.current(database_url) == "9999"
    with pytest.raises(HealthError, match="revision 9999, which is of a later version"):
        say("--to", "0007", "--yes")


def test_an_unknown_revision_is_refused_with_the_known_ones(say: Say) -> None:
    with pytest.raises(HealthError, match=r"There is no revision 7\. Take one of base, 0001, "):
        say("--to", "7")


def test_a_database_of_a_later_version_is_left_alone(say: Say, database_url: str) -> None:
    async def age() -> None:
        connection = await asyncpg.connect(database_url)
        await connection.execute("UPDATE alembic_version SET version_num = '9999'")
        await connection.close()

    asyncio.run(age())
    with pytest.raises(HealthError, match="revision 9999, which is of a later version"):
        say("--to", "0006", "--yes")


def test_each_step_says_what_it_costs_to_take_it_back() -> None:
    assert all(step.purpose and step.loss for step in schema.revisions())


@pytest.mark.parametrize(
    ("statement", "problem"),
    [
        ("INSERT INTO alembic_version VALUES ('another')", "several revisions: .*alembic_version"),
        ("DELETE FROM alembic_version", "a table accounts, and no revision"),
        ("DROP TABLE alembic_version", "a table accounts, and no revision"),
        ("UPDATE alembic_version SET version_num = 'theirs'; ALTER TABLE accounts RENAME TO x", "of another program"),
    ],
)
def test_a_database_that_is_of_something_else_is_left_alone(
    say: Say, database_url: str, statement: str, problem: str
) -> None:
    async def change() -> None:
        connection = await asyncpg.connect(database_url)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(change())
    with pytest.raises(HealthError, match=problem):
        say()
