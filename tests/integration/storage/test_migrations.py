"""Migrations give exactly what `service/storage/database/tables/` says, and can be taken back."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from service.runtime.errors import HealthError
from service.storage.database.engine import async_url
from service.storage.database.migrate import alembic_config, current, upgrade
from service.storage.database.tables import metadata
from tests.support.postgres import PostgresServer

# Alembic compares names, types, nullability and indexes; these it ignores.
CATALOGUE = text("""
    SELECT 'column', c.table_name, c.column_name, coalesce(c.column_default, c.generation_expression), c.is_identity
    FROM information_schema.columns c WHERE c.table_schema = 'public' AND c.table_name <> 'alembic_version'
    UNION ALL
    SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), NULL
    FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text <> 'alembic_version'
    UNION ALL
    SELECT 'index', tablename, indexname, indexdef, NULL
    FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'
    ORDER BY 1, 2, 3
""")


def _on(url: str, work: Callable[[Connection], Any]) -> Any:
    async def run() -> Any:
        engine = create_async_engine(async_url(url))
        async with engine.begin() as connection:
            result = await connection.run_sync(work)
        await engine.dispose()
        return result

    return asyncio.run(run())


def _catalogue(connection: Connection) -> list[Any]:
    return list(connection.execute(CATALOGUE).all())


def test_migrating_an_empty_database_gives_what_tables_says(postgres_server: PostgresServer) -> None:
    migrated, created = postgres_server.create_empty(), postgres_server.create_empty()
    try:
        upgrade(migrated)
        _on(created, metadata.create_all)

        def differences(connection: Connection) -> Any:
            without_partitions = {"include_name": lambda name, kind, _: kind != "table" or "history_" not in name}
            return compare_metadata(MigrationContext.configure(connection, opts=without_partitions), metadata)

        assert _on(migrated, differences) == []
        assert _on(migrated, _catalogue) == _on(created, _catalogue)
    finally:
        postgres_server.drop(migrated)
        postgres_server.drop(created)


def test_migrating_twice_and_back_leaves_nothing(postgres_server: PostgresServer) -> None:
    url = postgres_server.create_empty()
    try:
        upgrade(url)
        upgrade(url)
        _on(url, lambda connection: command.downgrade(alembic_config(connection), "base"))

        def tables(connection: Connection) -> set[str]:
            found = MetaData()
            found.reflect(connection)
            return set(found.tables)

        assert _on(url, tables) == {"alembic_version"}
        assert _schemas(url) == {"public"}
    finally:
        postgres_server.drop(url)


def test_what_is_on_its_way_keeps_its_place_in_the_schedule_and_alerts_are_the_oldest(
    postgres_server: PostgresServer,
) -> None:
    """Migration 0007 on a database in use."""
    url = postgres_server.create_empty()
    rows = """
        INSERT INTO alerts (id, rule, type, state, data) VALUES (gen_random_uuid(), 'r', 't', 'firing', '{}');
        INSERT INTO webhook_endpoints (id, url, secret) VALUES (gen_random_uuid(), 'https://crm.example/', 'sealed');
        INSERT INTO deliveries (id, alert_id, endpoint_id, state, attempts)
        SELECT gen_random_uuid(), a.id, e.id, 'pending', 3 FROM alerts a, webhook_endpoints e
    """

    def fill(connection: Connection) -> None:
        command.upgrade(alembic_config(connection), "0006")
        for statement in rows.split(";"):
            connection.execute(text(statement))

    def read(connection: Connection) -> Any:
        return connection.execute(text("SELECT tries, transaction FROM deliveries CROSS JOIN alerts")).one()

    try:
        _on(url, fill)
        upgrade(url)
        assert tuple(_on(url, read)) == (3, 0)
    finally:
        postgres_server.drop(url)


@pytest.mark.parametrize(("before", "after"), [("0010", "0011"), ("0011", "0012"), ("0022", "0024")])
def test_a_transaction_that_holds_rows_of_scores_finishes_before_their_indexes_are_rebuilt(
    postgres_server: PostgresServer, before: str, after: str
) -> None:
    """A migration while an account is folded: locked, and written by a later statement."""
    url = postgres_server.create_empty()
    waits = text("SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")

    async def fold_and_migrate() -> None:
        engine = create_async_engine(async_url(url))
        watching = engine.execution_options(isolation_level="AUTOCOMMIT")
        async with engine.begin() as connection, watching.connect() as aside:
            await connection.execute(text("SELECT 1 FROM scores WHERE account_id = 'acme' FOR UPDATE"))
            migrating = asyncio.create_task(asyncio.to_thread(upgrade, url, after))
            async with asyncio.timeout(20):
                while not (await aside.execute(waits)).first():
                    await asyncio.sleep(0.01)
            await connection.execute(text("UPDATE scores SET score = 71 WHERE account_id = 'acme'"))
            await connection.execute(text("INSERT INTO accounts (account_id) VALUES ('new')"))
        await asyncio.wait_for(migrating, 20)
        await engine.dispose()

    def fill(connection: Connection) -> None:
        command.upgrade(alembic_config(connection), before)
        connection.execute(text("INSERT INTO accounts (account_id) VALUES ('acme')"))
        connection.execute(text("INSERT INTO scores (account_id, band) VALUES ('acme', 'unknown')"))

    try:
        _on(url, fill)
        asyncio.run(fold_and_migrate())
        assert current(url) == after
        assert _on(url, lambda connection: connection.execute(text("SELECT score FROM scores")).scalar()) == 71
    finally:
        postgres_server.drop(url)


# --- The views of analysts: 0008 --------------------------------------------------------------------------------

VIEWS = {
    "account_health",
    "account_health_daily",
    "account_health_runs",
    "account_measures",
    "alerts",
    "portfolio_daily",
}


def _schemas(url: str) -> set[str]:
    statement = "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
    return set(_on(url, lambda connection: connection.execute(text(statement)).scalars().all()))


def _downgrade(url: str, revision: str) -> None:
    _on(url, lambda connection: command.downgrade(alembic_config(connection), revision))


def test_views_come_and_go_over_data_and_every_column_is_explained(postgres_server: PostgresServer) -> None:
    url = postgres_server.create_empty()
    rows = """
        INSERT INTO accounts (account_id, name) VALUES ('acme', 'Acme');
        INSERT INTO scores (account_id, score, band, day, since)
        VALUES ('acme', 71, 'green', '2026-03-02', '2026-03-01');
        INSERT INTO alerts (id, account_id, sequence, rule, type, state, data)
        VALUES (gen_random_uuid(), 'acme', 1, 'r', 't', 'firing', '{"score": 12.5}')
    """
    columns = """
        SELECT c.relname, attname, col_description(c.oid, attnum), obj_description(c.oid)
        FROM pg_class c JOIN pg_attribute ON attrelid = c.oid AND attnum > 0
        WHERE relnamespace = 'analytics'::regnamespace AND relkind = 'v'
    """

    def fill(connection: Connection) -> None:
        command.upgrade(alembic_config(connection), "0007")
        for statement in rows.split(";"):
            connection.execute(text(statement))

    def kept(connection: Connection) -> Any:
        return [connection.execute(text(f"SELECT * FROM {name}")).all() for name in ("accounts", "scores", "alerts")]

    def told(connection: Connection) -> Any:
        join = "analytics.account_health_daily AS d JOIN analytics.account_health AS h USING (account_id)"
        join += " JOIN analytics.alerts AS a USING (account_id)"
        return connection.execute(text(f"SELECT h.name, d.score, a.score FROM {join}")).all()

    try:
        _on(url, fill)
        before = _on(url, kept)
        for _ in range(2):
            upgrade(url, "0008")
            found = _on(url, lambda connection: connection.execute(text(columns)).all())
            assert {row[0] for row in found} == VIEWS
            assert [row[:2] for row in found if not row[2] or not row[3]] == []
            assert _on(url, told) == [("Acme", 71, 12.5)] * 2
            _downgrade(url, "0007")
            assert _schemas(url) == {"public"}
            assert _on(url, kept) == before
    finally:
        postgres_server.drop(url)


def test_what_others_have_built_on_a_view_is_not_dropped_with_it(postgres_server: PostgresServer) -> None:
    url = postgres_server.create_empty()
    try:
        upgrade(url)
        _on(url, lambda c: c.execute(text("CREATE VIEW board AS SELECT account_id FROM analytics.account_health")))
        with pytest.raises(
            DBAPIError, match=r"cannot drop view analytics\.account_health because other objects depend on it"
        ):
            _downgrade(url, "0007")
        assert _on(url, lambda c: c.execute(text("SELECT count(*) FROM board")).scalar()) == 0
    finally:
        postgres_server.drop(url)


@pytest.fixture
def modest_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database whose user may make tables in it, and nothing else."""
    url = postgres_server.create_empty()
    name = urlsplit(url).path[1:]
    role = f"modest_{name}"

    def run(*statements: str) -> None:
        _on(url, lambda connection: [connection.execute(text(statement)) for statement in statements])

    run(f"CREATE ROLE {role} LOGIN PASSWORD 'x'", f"GRANT ALL ON SCHEMA public TO {role}")
    parts = urlsplit(url)
    yield parts._replace(netloc=f"{role}:x@{parts.hostname}:{parts.port}").geturl()
    run(f"DROP OWNED BY {role} CASCADE", f"DROP ROLE {role}")
    postgres_server.drop(url)


def test_a_user_who_may_not_create_a_schema_is_shown_the_command_to_run(
    modest_url: str, postgres_server: PostgresServer
) -> None:
    with pytest.raises(HealthError, match="CREATE SCHEMA analytics AUTHORIZATION modest_") as refused:
        upgrade(modest_url)
    parts = urlsplit(modest_url)
    admin = urlsplit(postgres_server.url)._replace(path=parts.path).geturl()
    remedy = str(refused.value).partition("run: ")[2]
    _on(admin, lambda connection: connection.execute(text(remedy)))
    upgrade(modest_url)
    assert _on(modest_url, lambda c: c.execute(text("SELECT count(*) FROM analytics.account_health")).scalar()) == 0


def test_calibrations_come_and_go_over_data_and_readers_keep_their_rights(postgres_server: PostgresServer) -> None:
    """Migration 0021 on a database in use, whose default privileges give PUBLIC no functions."""
    url = postgres_server.create_empty()
    reader = f"reader_{urlsplit(url).path[1:]}"
    document = '{"name": "default", "bands": {"red": 0, "yellow": 40, "green": 70}, "measures": []}'
    rows = f"""
        ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
        CREATE ROLE {reader};
        GRANT USAGE ON SCHEMA analytics TO {reader};
        GRANT SELECT ON ALL TABLES IN SCHEMA analytics TO {reader};
        GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA analytics TO {reader};
        INSERT INTO scorecards (name, version, document, digest) VALUES ('default', 1, '{document}', 'x');
        INSERT INTO accounts (account_id, name) VALUES ('acme', 'Acme');
        INSERT INTO scores (account_id, score, band, day, since, scorecard, scorecard_version)
        VALUES ('acme', 30, 'green', '2026-03-02', '2026-03-01', 'default', 1)
    """.replace(":", "\\:")
    calibrate = """UPDATE scorecards SET calibration = '{"probabilities": [[0, 0.4], [100, 0.2]]}'""".replace(
        ":", "\\:"
    )

    def fill(connection: Connection) -> None:
        command.upgrade(alembic_config(connection), "0020")
        for statement in rows.split(";"):
            connection.execute(text(statement))

    def read(columns: str) -> Callable[[Connection], Any]:
        def go(connection: Connection) -> Any:
            connection.execute(text(f"SET LOCAL ROLE {reader}"))
            join = "analytics.account_health AS h JOIN analytics.account_health_daily AS d USING (account_id)"
            return [tuple(row) for row in connection.execute(text(f"SELECT {columns} FROM {join} ORDER BY d.day"))]

        return go

    def catalogue(connection: Connection) -> Any:
        shown = "SELECT oid::regclass::text, pg_get_viewdef(oid), relacl::text, obj_description(oid) FROM pg_class"
        return connection.execute(text(f"{shown} WHERE relnamespace = 'analytics'::regnamespace ORDER BY 1")).all()

    try:
        _on(url, fill)
        before, stood = _on(url, catalogue), _on(url, read("h.score, d.score"))
        for _ in range(2):
            upgrade(url)
            assert _on(url, read("h.churn_probability")) == [(None,)] * 2
            _on(url, lambda connection: connection.execute(text(calibrate)))
            assert (
                _on(url, read("h.churn_probability, d.churn_probability"))
                == [(pytest.approx(0.34), pytest.approx(0.34))] * 2
            )
            _downgrade(url, "0020")
            assert _on(url, catalogue) == before
            assert _on(url, read("h.score, d.score")) == stood == [(30, 30)] * 2
    finally:
        _on(url, lambda connection: connection.execute(text(f"DROP OWNED BY {reader}")))
        _on(url, lambda connection: connection.execute(text(f"DROP ROLE {reader}")))
        postgres_server.drop(url)


def test_what_the_views_say_of_themselves_is_up_to_date_and_taken_back(postgres_server: PostgresServer) -> None:
    """Migration 0019: the recipients of an alert in a digest, and the accounts that the portfolio counts."""
    url = postgres_server.create_empty()
    said = text("""
        SELECT (SELECT col_description('analytics.alerts'::regclass, attnum) FROM pg_attribute
                WHERE attrelid = 'analytics.alerts'::regclass AND attname = 'quiet'),
               obj_description('analytics.portfolio(date, date)'::regprocedure),
               (SELECT prosrc FROM pg_proc WHERE oid = 'analytics.portfolio(date, date)'::regprocedure)
    """)

    def read(connection: Connection) -> tuple[str, ...]:
        return tuple(connection.execute(said).one())

    def to(revision: str) -> Callable[[Connection], Any]:
        return lambda connection: command.upgrade(alembic_config(connection), revision)

    try:
        _on(url, to("0018"))
        before = _on(url, read)
        upgrade(url)
        quiet, portfolio, source = _on(url, read)
        assert quiet == "Not told for itself: summed up in a digest, or a test of an endpoint."
        assert portfolio.endswith("An account that has left isn't counted from the day churned_on on.")
        assert "churned_on" in source
        _on(url, lambda connection: command.downgrade(alembic_config(connection), "0018"))
        assert _on(url, read) == before
    finally:
        postgres_server.drop(url)
