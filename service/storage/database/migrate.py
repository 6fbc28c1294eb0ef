"""Migrates a database to the newest schema with Alembic, or back to an earlier one, and checks which schema it has."""

import asyncio
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TypeVar

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import Script, ScriptDirectory
from msgspec import Struct
from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from service.runtime.errors import HealthError
from service.storage.database.engine import async_url, libpq_parameters

MIGRATIONS = Path(__file__).parents[3] / "migrations"
LOCK = 0x6865616C7468  # "health": two processes that start at once migrate one after the other
OWN_TABLE = "accounts"
"""The first table of the first revision."""
BASE = "base"
"""The revision before the first one: no tables."""

_RUNNING = text("""
    SELECT DISTINCT substr(application_name, length('account-health ') + 1) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name LIKE 'account-health %' ORDER BY 1
""")
_HAS_VERSION = text("SELECT to_regclass('alembic_version') IS NOT NULL")
_VERSION = text("SELECT version_num FROM alembic_version")

Result = TypeVar("Result")


class SchemaRevision(Struct, frozen=True):
    """One revision of the schema: its purpose, and the data lost by taking it back."""

    revision: str
    purpose: str
    loss: str


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration without an ini file; `connection` is the one to migrate on."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def revisions() -> list[SchemaRevision]:
    """All revisions, the first one first."""
    return [
        _schema_revision(script)
        for script in reversed(list(ScriptDirectory.from_config(alembic_config()).walk_revisions()))
    ]


def _schema_revision(script: Script) -> SchemaRevision:
    purpose = (script.module.__doc__ or "").partition("\n\n")[0]
    loss = script.module.downgrade.__doc__ or ""
    return SchemaRevision(script.revision, " ".join(purpose.split()), " ".join(loss.split()))


def upgrade(database_url: str, revision: str = "head") -> str | None:
    """Migrate to `revision`. Safe to run from several processes at once; does nothing if the schema is there already.

    A schema of a later version is left as it is, as an earlier version works on it; its revision is returned, else
    None. Raises `HealthError` if the database belongs to something else, or doesn't tell its revision.
    """
    return _run_on(database_url, lambda connection: _upgrade(connection, revision))


def downgrade(database_url: str, revision: str) -> None:
    """Take back all revisions after `revision`, with the data that they hold."""

    def go(connection: Connection) -> None:
        _lock(connection)
        command.downgrade(alembic_config(connection), revision)

    _run_on(database_url, go)


def current(database_url: str) -> str:
    """The database's revision; `base` if it has no tables."""
    return _run_on(database_url, _revision)


def is_known(revision: str) -> bool:
    """True if this version of the service has the revision; a later version may have gone further."""
    return revision == BASE or revision in {step.revision for step in revisions()}


def running_processes(database_url: str) -> list[str]:
    """The service's processes that are connected: `api`, `consume` and so on."""
    return _run_on(database_url, lambda connection: list(connection.execute(_RUNNING).scalars()))


async def schema_problem(connection: AsyncConnection) -> str | None:
    """The step that the schema needs before this version can work with it, or None.

    A schema newer than this version is fine: during a rolling upgrade, the old version sees one.
    """
    if not (await connection.execute(_HAS_VERSION)).scalar_one():
        return "The database has no tables yet. Run: account-health migrate"
    stored = (await connection.execute(_VERSION)).scalar_one_or_none()
    if stored in _earlier_versions():
        return f"The database has schema {stored}, an earlier one. Run: account-health migrate"
    return None


@cache
def _earlier_versions() -> frozenset[str]:
    scripts = ScriptDirectory.from_config(alembic_config())
    return frozenset(script.revision for script in scripts.walk_revisions()) - set(scripts.get_heads())


def _upgrade(connection: Connection, revision: str) -> str | None:
    _lock(connection)
    found = _revision(connection)
    _require_own(connection, found)
    if not is_known(found):
        return found
    command.upgrade(alembic_config(connection), revision)
    return None


def _lock(connection: Connection) -> None:
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")


def _revision(connection: Connection) -> str:
    found = MigrationContext.configure(connection).get_current_heads()
    if len(found) > 1:
        raise HealthError(
            f"The database has several revisions: {', '.join(sorted(found))}",
            "Keep only the revision of its schema in its table alembic_version",
        )
    return found[0] if found and found[0] else BASE


def _require_own(connection: Connection, revision: str) -> None:
    """Raise `HealthError` unless the tables and the revision belong together, and to this service."""
    has_tables = inspect(connection).has_table(OWN_TABLE)
    if has_tables and revision == BASE:
        raise HealthError(
            f"The database has a table {OWN_TABLE}, and no revision in its table alembic_version",
            "Give the service a database of its own; if it is its own, restore alembic_version from a backup",
        )
    if not has_tables and not is_known(revision):
        raise HealthError(
            f"The database has revision {revision} of another program: there is no table {OWN_TABLE}",
            "Give the service a database of its own",
        )


def _run_on(database_url: str, work: Callable[[Connection], Result]) -> Result:
    async def run() -> Result:
        engine = create_async_engine(
            async_url(database_url), poolclass=NullPool, connect_args=libpq_parameters(database_url)
        )
        try:
            async with engine.begin() as connection:
                return await connection.run_sync(work)
        finally:
            await engine.dispose()

    return asyncio.run(run())
