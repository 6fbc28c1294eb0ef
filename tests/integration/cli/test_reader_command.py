"""`account-health reader …` on a real server: the role logs in, reads the views, and reaches nothing else."""

import asyncio
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from service.cli.app import app
from service.runtime.errors import HealthError
from service.storage.accounts.accounts import ACCOUNT_TABLES
from service.storage.database.migrate import upgrade
from service.storage.database.tables import metadata
from tests.support.postgres import PostgresServer

PASSWORD = "given by the operator"
VIEWS = (
    "account_health",
    "account_health_daily",
    "account_health_runs",
    "account_measures",
    "alerts",
    "portfolio_daily",
)


def reader(*words: str) -> Result:
    return CliRunner().invoke(app, ["reader", *words], catch_exceptions=False)


def on(url: str, *statements: str) -> list[Any]:
    """The first value of each statement."""

    async def run() -> list[Any]:
        connection = await asyncpg.connect(url)
        try:
            return [await connection.fetchval(statement) for statement in statements]
        finally:
            await connection.close()

    return asyncio.run(run())


def as_user(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{user}:{password.replace(' ', '%20')}@{parts.hostname}:{parts.port}").geturl()


@pytest.fixture
def name(database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a role of the test's own: roles belong to the server, not to the database."""
    monkeypatch.setenv("HEALTH_DATABASE_URL", database_url)
    name = f"reader_{urlsplit(database_url).path.rsplit('_', 1)[-1]}"
    yield name
    on(database_url, f"DO $$ BEGIN DROP OWNED BY {name}; DROP ROLE {name}; EXCEPTION WHEN undefined_object THEN END $$")


@pytest.fixture
def reader_url(name: str, database_url: str) -> str:
    made = reader("create", name)
    assert made.exit_code == 0
    return as_user(database_url, name, made.stdout.strip())


def test_a_password_is_printed_alone_once_and_kept_when_it_is_run_again(name: str, database_url: str) -> None:
    made = reader("create", name)
    assert re.fullmatch(r"[\w-]{32}\n", made.stdout)
    assert made.stderr == f"The role {name} is made.\n"
    again = reader("create", name)
    assert (again.stdout, again.stderr) == ("", f"The role {name} is up to date.\n")
    assert on(as_user(database_url, name, made.stdout.strip()), "SELECT current_user") == [name]
    renewed = reader("create", name, "--new-password")
    assert on(as_user(database_url, name, renewed.stdout.strip()), "SELECT current_user") == [name]
    with pytest.raises(asyncpg.InvalidPasswordError):
        on(as_user(database_url, name, made.stdout.strip()), "SELECT 1")


def test_a_password_can_be_given_and_is_not_shown(
    name: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEALTH_READER_PASSWORD", PASSWORD)
    for what in ("made", "up to date"):
        made = reader("create", name)
        assert (made.stdout, made.stderr) == ("", f"The role {name} is {what}, and its password is set.\n")
        assert on(as_user(database_url, name, PASSWORD), "SELECT current_user") == [name]
    with pytest.raises(HealthError, match="leave --new-password out"):
        reader("create", name, "--new-password")
    for bad in ("too short", "long enough, but with é"):
        monkeypatch.setenv("HEALTH_READER_PASSWORD", bad)
        with pytest.raises(HealthError, match="HEALTH_READER_PASSWORD"):
            reader("create", name)


def test_it_reads_every_view_by_its_plain_name(reader_url: str) -> None:
    assert on(reader_url, *(f"SELECT count(*) FROM {view}" for view in VIEWS)) == [0] * len(VIEWS)
    assert on(reader_url, "SELECT count(*) FROM portfolio('2026-01-01', '2026-02-01')") == [0]


async def _refusals(url: str, statements: list[str]) -> dict[str, str | None]:
    connection = await asyncpg.connect(url)
    refused: dict[str, str | None] = {}
    await connection.execute("SET default_transaction_read_only = off")  # which is no protection, as anybody may
    try:
        for statement in statements:
            try:
                await connection.execute(statement)
                refused[statement] = None
            except asyncpg.PostgresError as error:
                refused[statement] = type(error).__name__
        return refused
    finally:
        await connection.close()


def refusals(url: str, *statements: str) -> dict[str, str | None]:
    return asyncio.run(_refusals(url, list(statements)))


def test_no_table_can_be_read_nor_written(reader_url: str) -> None:
    tables = {*metadata.tables, *ACCOUNT_TABLES, "alembic_version", "history_default"}
    found = refusals(reader_url, *(f"SELECT * FROM public.{table}" for table in tables))
    assert set(found.values()) == {"InsufficientPrivilegeError"}
    written = refusals(
        reader_url,
        "DELETE FROM public.accounts",
        "UPDATE analytics.account_health SET name = 'x'",
        "UPDATE analytics.alerts SET quiet = true",
        "INSERT INTO analytics.alerts (id) VALUES (gen_random_uuid())",
        "CREATE TABLE public.mine (a int)",
        "CREATE VIEW analytics.mine AS SELECT 1",
        "CREATE SCHEMA mine",
        "CREATE ROLE mine",
        "SET ROLE postgres",
    )
    assert None not in written.values(), written


def test_what_is_secret_is_out_of_reach_of_the_catalogue_and_its_functions(reader_url: str, database_url: str) -> None:
    on(
        database_url,
        "INSERT INTO webhook_endpoints (id, url, secret) SELECT gen_random_uuid(), 'https://secret.example', 'x'"
        " FROM generate_series(1, 200)",
        "ANALYZE webhook_endpoints",
    )
    found = refusals(
        reader_url,
        "SELECT query_to_xml('SELECT * FROM public.webhook_endpoints', true, false, '')",
        "SELECT table_to_xml('public.webhook_endpoints', true, false, '')",
        "SELECT * FROM pg_catalog.pg_statistic",
        "SELECT * FROM pg_catalog.pg_authid",
        "SELECT pg_read_file('PG_VERSION')",
        "SELECT pg_ls_dir('.')",
        "SELECT lo_import('/etc/passwd')",
        "COPY public.webhook_endpoints TO STDOUT",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_relation_filepath('public.webhook_endpoints'), pg_read_binary_file('base/1/1259')",
        "SELECT * FROM pg_catalog.pg_user_mapping",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user",
        "SELECT pg_get_viewdef('analytics.alerts'::regclass), * FROM public.alerts",
        "ALTER VIEW analytics.account_health SET (security_invoker)",
        "CREATE OR REPLACE VIEW analytics.alerts AS SELECT * FROM public.webhook_endpoints",
    )
    allowed = [statement for statement, refused in found.items() if refused is None]
    assert allowed == []
    assert on(
        reader_url,
        "SELECT count(*) FROM pg_stats WHERE tablename = 'webhook_endpoints'",
        "SELECT count(*) FROM information_schema.columns WHERE table_schema = 'public'",
        "SELECT count(*) FROM pg_stat_activity WHERE usename <> current_user AND query ~ '^[A-Z]'"
        " AND query NOT LIKE '<insufficient privilege>'",
    ) == [0, 0, 0]
    assert on(database_url, "SELECT count(*) > 0 FROM pg_stats WHERE tablename = 'webhook_endpoints'") == [True]


def test_no_view_has_a_column_of_what_is_secret(database_url: str) -> None:
    """They read as their owner, so their SELECTs alone protect the tables from readers."""
    used = """
        SELECT array_agg(DISTINCT table_name || '.' || column_name) FROM information_schema.view_column_usage
        WHERE view_schema = 'analytics' AND table_schema = 'public'
    """
    (columns,) = on(database_url, used)
    tables = {column.partition(".")[0] for column in columns}
    assert tables == {
        "accounts", "alert_rules", "alerts", "history", "scorecards", "scores", "survey_states", "ticket_states",
    }  # fmt: skip
    inner = re.compile(r"registers|\.state$|\.usage$|journal|rule_memory|source|digest|due_at")
    assert [column for column in columns if inner.search(column)] == ["alerts.state"]


def test_it_is_kept_from_accidents(reader_url: str) -> None:
    shown = "SELECT current_setting('{}')"
    settings = (
        "default_transaction_read_only",
        "statement_timeout",
        "idle_in_transaction_session_timeout",
        "jit",
        "timezone",
    )
    assert on(reader_url, *(shown.format(name) for name in settings)) == ["on", "1min", "1min", "off", "UTC"]
    assert on(reader_url, "SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user") == [20]


def test_views_made_later_can_be_read_too(reader_url: str, database_url: str) -> None:
    on(database_url, "CREATE VIEW analytics.later AS SELECT count(*) FROM accounts")
    assert on(reader_url, "SELECT * FROM later") == [0]


def test_other_readable_tables_are_reported(name: str, database_url: str) -> None:
    on(database_url, "CREATE TABLE open (a int)", "GRANT SELECT ON open, accounts TO PUBLIC")
    assert "WARNING: it may also read accounts, open." in reader("create", name).stderr


@pytest.mark.parametrize("privilege", ["SUPERUSER", "CREATEROLE", "CREATEDB", "REPLICATION", "BYPASSRLS"])
def test_a_role_that_may_do_more_is_left_alone(name: str, database_url: str, privilege: str) -> None:
    on(database_url, f"CREATE ROLE {name} {privilege}")
    for word in ("create", "drop"):
        with pytest.raises(HealthError, match="may do more than read"):
            reader(word, name)
    assert on(database_url, f"SELECT rolcanlogin FROM pg_roles WHERE rolname = '{name}'") == [False]


def test_neither_is_a_member_of_another_nor_oneself(name: str, database_url: str) -> None:
    on(database_url, f"CREATE ROLE {name}", f"GRANT pg_read_all_data TO {name}")
    with pytest.raises(HealthError, match="is a member of others"):
        reader("create", name)
    with pytest.raises(HealthError, match="may do more than read"):
        reader("create", urlsplit(database_url).username or "")


@pytest.mark.parametrize("right", ["INSERT", "UPDATE (name)", "DELETE", "TRUNCATE"])
def test_a_role_that_writes_here_is_not_taken_over(name: str, database_url: str, right: str) -> None:
    on(database_url, f"CREATE ROLE {name} LOGIN PASSWORD 'theirs'", f"GRANT {right} ON accounts TO {name}")
    with pytest.raises(HealthError, match="serves another purpose"):
        reader("create", name, "--new-password")
    assert on(as_user(database_url, name, "theirs"), "SHOW statement_timeout") == ["0"]


def test_neither_is_one_that_owns_something_unless_it_is_a_reader_already(name: str, database_url: str) -> None:
    theirs = f"CREATE SCHEMA theirs AUTHORIZATION {name}"
    on(database_url, f"CREATE ROLE {name} LOGIN PASSWORD 'theirs'", theirs)
    with pytest.raises(HealthError, match="serves another purpose"):
        reader("create", name)
    on(database_url, f"DROP OWNED BY {name}")
    assert reader("create", name).stderr == f"The role {name} is up to date.\n"
    on(database_url, theirs)
    assert reader("create", name).stderr.startswith(f"The role {name} is up to date.\n")


@pytest.mark.parametrize("name_", ["Upper", "a b", "a;drop", 'a"b', "pg_reader", "", "x" * 64])
def test_a_name_that_needs_quotes_is_refused(name: str, name_: str) -> None:
    with pytest.raises(HealthError, match="NAME"):
        reader("create", name_)


def test_dropped_it_is_gone(name: str, reader_url: str) -> None:
    assert reader("drop", name).stdout == "The reader is dropped.\n"
    with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
        on(reader_url, "SELECT 1")
    with pytest.raises(HealthError, match="There is no role"):
        reader("drop", name)


def test_one_that_was_granted_more_is_not_dropped_by_halves(name: str, reader_url: str, database_url: str) -> None:
    on(database_url, f"GRANT SELECT ON accounts TO {name}")
    with pytest.raises(HealthError, match=f"DROP OWNED BY {name}"):
        reader("drop", name)
    assert on(reader_url, "SELECT count(*) FROM account_health") == [0]


def test_before_the_views_are_there_it_says_what_to_run(
    name: str, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres_server.create_empty()
    monkeypatch.setenv("HEALTH_DATABASE_URL", url)
    try:
        with pytest.raises(HealthError, match="account-health migrate"):
            reader("create", name)
    finally:
        postgres_server.drop(url)


# --- Where the service's own user is not a superuser --------------------------------------------------------------


@pytest.fixture
def owner(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], tuple[str, str]]]:
    """Makes a database that belongs to a user with the given attributes; gives the URLs of both users."""
    made: list[tuple[str, str]] = []

    def make(attributes: str) -> tuple[str, str]:
        admin = postgres_server.create_empty()
        user = f"owner_{urlsplit(admin).path.rsplit('_', 1)[-1]}"
        on(admin, f"CREATE ROLE {user} LOGIN PASSWORD 'x' {attributes}", f"ALTER SCHEMA public OWNER TO {user}",
           f"ALTER DATABASE {urlsplit(admin).path[1:]} OWNER TO {user}")  # fmt: skip
        made.append((admin, user))
        url = as_user(admin, user, "x")
        upgrade(url)
        monkeypatch.setenv("HEALTH_DATABASE_URL", url)
        return admin, url

    yield make
    for admin, user in made:
        on(admin, f"DROP OWNED BY {user} CASCADE")
        postgres_server.drop(admin)
        on(postgres_server.url, f"DROP ROLE {user}")


def test_a_user_who_may_create_roles_is_enough(owner: Callable[[str], tuple[str, str]], name: str) -> None:
    _, url = owner("CREATEROLE")
    password = reader("create", name).stdout.strip()
    assert on(as_user(url, name, password), "SELECT count(*) FROM account_health") == [0]
    assert reader("create", name).exit_code == 0
    password = reader("create", name, "--new-password").stdout.strip()
    assert on(as_user(url, name, password), "SELECT count(*) FROM alerts") == [0]
    reader("drop", name)
    assert on(url, f"SELECT count(*) FROM pg_roles WHERE rolname = '{name}'") == [0]


def test_a_user_without_the_right_is_shown_the_command_and_accepts_a_role_made_by_others(
    owner: Callable[[str], tuple[str, str]], name: str
) -> None:
    admin, url = owner("")
    with pytest.raises(HealthError, match="As an administrator of the server run:") as refused:
        reader("create", name)
    on(admin, f"CREATE ROLE {name} LOGIN PASSWORD 'theirs'")
    made = reader("create", name, "--new-password")
    assert made.stdout == ""
    assert "It was made by others, who alone may alter it: its password and settings are as they were." in made.stderr
    left = re.findall(r"^    (ALTER ROLE .*);$", made.stderr, re.MULTILINE)
    assert [f"CREATE ROLE {name}", *left] == re.findall(r"^    (.*);$", str(refused.value), re.MULTILINE)
    on(admin, *left)
    assert "ALTER ROLE" not in reader("create", name).stderr
    assert on(as_user(url, name, "theirs"), "SHOW statement_timeout", "SHOW timezone") == ["1min", "UTC"]
    assert on(as_user(url, name, "theirs"), "SELECT count(*) FROM analytics.account_health") == [0]
    assert set(refusals(as_user(url, name, "theirs"), "SELECT * FROM public.accounts").values()) != {None}
    on(admin, f"DROP OWNED BY {name}")


def test_what_it_prints_can_be_run_by_hand(owner: Callable[[str], tuple[str, str]], name: str) -> None:
    admin, url = owner("")
    printed = reader("create", name, "--print-sql").stdout
    assert "PASSWORD" not in printed
    on(admin, *printed.strip().removesuffix(";").split(";\n"), f"ALTER ROLE {name} PASSWORD 'by hand'")
    assert on(as_user(url, name, "by hand"), "SELECT count(*) FROM account_health") == [0]
    on(url, "CREATE VIEW analytics.later AS SELECT count(*) FROM accounts")
    assert on(as_user(url, name, "by hand"), "SELECT * FROM later") == [0]
    on(admin, f"DROP OWNED BY {name}")
