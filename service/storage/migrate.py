"""Bring a database to the newest schema with Alembic."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from service.storage.engine import async_url, libpq_parameters

MIGRATIONS = Path(__file__).parents[2] / "migrations"
LOCK = 0x6865616C7468  # "health": two processes that start at once migrate one after the other


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration without an ini file; `connection` is the one to migrate on."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def upgrade(database_url: str, revision: str = "head") -> None:
    """Migrate to `revision`. Safe to run from several processes at once; does nothing when already there."""
    asyncio.run(_upgrade(database_url, revision))


async def _upgrade(database_url: str, revision: str) -> None:
    engine = create_async_engine(
        async_url(database_url), poolclass=NullPool, connect_args=libpq_parameters(database_url)
    )
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_run, revision)
    finally:
        await engine.dispose()


def _run(connection: Connection, revision: str) -> None:
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")
    command.upgrade(alembic_config(connection), revision)
