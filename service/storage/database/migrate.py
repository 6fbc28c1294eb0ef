"""Migrates a database to the newest schema with Alembic, or back to an earlier one, and checks which schema it has.

A revision that has to rewrite the rows of all accounts doesn't do that in its own transaction, in which everybody would
wait for it: its module has `rows_to_move` and `move`, and the rows are moved in short transactions before the next
revision. If that is interrupted, the next migration goes on with it.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TypeVar

import structlog
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

log = structlog.get_logger(__name__)

MIGRATIONS = Path(__file__).parents[3] / "migrations"
PROGRESS_SECONDS = 5.0
"""Between two lines of progress."""
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

    def go(connection: Connection) -> str | None:
        with _locked(connection):
            return _upgrade(connection, revision)

    return _run_on(database_url, go)


def downgrade(database_url: str, revision: str) -> None:
    """Take back all revisions after `revision`, with the data that they hold."""

    def go(connection: Connection) -> None:
        with _locked(connection), connection.begin():
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
    with connection.begin():
        found = _revision(connection)
        _require_own(connection, found)
    if not is_known(found):
        return found
    for script in _with_rows_to_move(found, revision):
        with connection.begin():
            command.upgrade(alembic_config(connection), script.revision)
        _move(connection, script)
    with connection.begin():
        command.upgrade(alembic_config(connection), revision)
    return None


def _with_rows_to_move(found: str, revision: str) -> list[Script]:
    """The scripts from `found` on, before the one of `revision`, after which rows have to be moved; the first one
    first.
    """
    scripts = [*ScriptDirectory.from_config(alembic_config()).walk_revisions()][::-1]
    names = [BASE, *(script.revision for script in scripts)]
    last = len(names) - 1 if revision == "head" else names.index(revision)
    return [script for script in scripts[max(names.index(found) - 1, 0) : last - 1] if hasattr(script.module, "move")]


def _move(connection: Connection, script: Script) -> None:
    """Move the rows of all accounts, and log the progress."""
    with connection.begin():
        rows = script.module.rows_to_move(connection)
    after, moved, told = "", 0, time.monotonic()
    while True:
        with connection.begin():
            after, count = script.module.move(connection, after)
        if not count:
            return
        moved += count
        if time.monotonic() - told > PROGRESS_SECONDS:
            told = time.monotonic()
            log.info("migration_progress", revision=script.revision, moved=moved, rows=rows)


@contextmanager
def _locked(connection: Connection) -> Iterator[None]:
    """Until the end, nobody else migrates. The lock belongs to the session, as a migration may take several
    transactions.
    """
    with connection.begin():
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({LOCK})")
    yield
    with connection.begin():
        connection.exec_driver_sql(f"SELECT pg_advisory_unlock({LOCK})")


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
            async with engine.connect() as connection:
                return await connection.run_sync(work)
        finally:
            await engine.dispose()

    return asyncio.run(run())
