"""Migrations give exactly what `service/storage/tables.py` says, and can be taken back."""

import asyncio
from collections.abc import Callable
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.ext.asyncio import create_async_engine

from service.storage.engine import async_url
from service.storage.migrate import alembic_config, upgrade
from service.storage.tables import metadata
from tests.support.postgres import PostgresServer

# Alembic compares names, types, nullability and indexes; these are what it doesn't look at.
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
