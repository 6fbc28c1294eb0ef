"""Checks that the database's schema fits this version of the service."""

from functools import cache

from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.database.migrate import alembic_config

_HAS_VERSION = text("SELECT to_regclass('alembic_version') IS NOT NULL")
_VERSION = text("SELECT version_num FROM alembic_version")


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
