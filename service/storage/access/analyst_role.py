"""Creates, updates and drops roles that read the views for analysts."""

import re
import secrets
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from service.runtime.errors import HealthError
from service.storage.access import analyst_role_sql
from service.storage.access.analyst_role_sql import DatabaseRole, ViewLocation

SHORTEST_PASSWORD = 16
_NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


class CreatedRole(NamedTuple):
    """The result of `create`. `password` is a generated one; `left` are statements for somebody who may alter the
    role, if this user may not; `also_reads` is what the role can read beside the views.
    """

    is_new: bool
    is_altered: bool
    password: str | None
    left: list[str]
    also_reads: list[str]


def checked_name(name: str) -> str:
    """Return a name that needs no quotes in SQL; raise `HealthError` for any other."""
    if not _NAME.fullmatch(name) or name.startswith("pg_"):
        raise HealthError(
            f"NAME {name!r} can't be used", "Use lower-case letters, digits and _, and don't begin with pg_"
        )
    return name


def checked_password(password: str) -> str:
    """Return an acceptable password; raise `HealthError` for any other."""
    if len(password) < SHORTEST_PASSWORD or not (password.isascii() and password.isprintable()):
        raise HealthError(
            "HEALTH_READER_PASSWORD can't be used", f"Set {SHORTEST_PASSWORD} or more printable ASCII characters"
        )
    return password


async def create(connection: AsyncConnection, name: str, given: str | None, *, renew: bool = False) -> CreatedRole:
    """Create the role, or update an existing one, with the given password. Without one, a new role gets a generated
    password, and so does an existing one on `renew`.

    A role created by others gets access, and is otherwise left alone if this user may not alter it. Raises
    `HealthError` with what an administrator has to run; and, before anything is altered, for a role that does more than
    read.
    """
    await analyst_role_sql.acquire_lock(connection)
    where = await _view_location(connection)
    role = await analyst_role_sql.find(connection, name)
    _refuse_others(name, role)
    if role and role.is_of_others:
        raise HealthError(
            f"The role {name} serves another purpose: it owns something, or may write in this database",
            "Give another name for the reader",
        )
    if role is None:
        await _create_role(connection, name)
    is_altered = role is None or role.is_mine
    fresh = secrets.token_urlsafe(24) if is_altered and given is None and (role is None or renew) else None
    if is_altered:
        await analyst_role_sql.run(connection, analyst_role_sql.settings(name))
        if password := given or fresh:
            await analyst_role_sql.run(connection, [analyst_role_sql.password(name, password, secrets.token_bytes(16))])
    try:
        await analyst_role_sql.run(connection, analyst_role_sql.grants(name, where))
    except DBAPIError as error:
        if analyst_role_sql.is_forbidden(error):
            raise HealthError(
                "The database user of HEALTH_DATABASE_URL may not let others read the views",
                f"Run this as {where.owner}, who owns them",
            ) from None
        raise
    left = [] if is_altered else await analyst_role_sql.missing_settings(connection, name)
    return CreatedRole(role is None, is_altered, fresh, left, await analyst_role_sql.reachable(connection, name))


async def drop(connection: AsyncConnection, name: str) -> None:
    """Revoke the role's rights here, and drop it; raises `HealthError` if that fails."""
    await analyst_role_sql.acquire_lock(connection)
    where = await _view_location(connection)
    role = await analyst_role_sql.find(connection, name)
    if role is None:
        raise HealthError(f"There is no role {name}", "In psql, \\du lists the roles")
    _refuse_others(name, role)
    try:
        await analyst_role_sql.run(connection, analyst_role_sql.revocations(name, where))
    except DBAPIError as error:
        if analyst_role_sql.has_dependents(error):
            raise HealthError(
                f"The role {name} owns something, or has been granted more than `reader create` grants",
                f"As an administrator run in each database: DROP OWNED BY {name}; then run this again",
            ) from None
        if analyst_role_sql.is_forbidden(error):
            raise HealthError(
                f"The database user of HEALTH_DATABASE_URL may not drop the role {name}",
                f"As an administrator run: DROP OWNED BY {name}; DROP ROLE {name}",
            ) from None
        raise


async def statements(connection: AsyncConnection, name: str) -> list[str]:
    """All statements that create a reader, for people to run; except the password, which must not be shown."""
    where = await _view_location(connection)
    return [f"CREATE ROLE {name}", *analyst_role_sql.settings(name), *analyst_role_sql.grants(name, where)]


def as_script(statements: Sequence[str]) -> str:
    """Statements for people to run, one per line."""
    return "".join(f"    {statement};\n" for statement in statements)


async def _create_role(connection: AsyncConnection, name: str) -> None:
    if not await analyst_role_sql.may_create(connection):
        raise HealthError(
            f"The database user of HEALTH_DATABASE_URL may not create the role {name}",
            "As an administrator of the server run:\n"
            + as_script([f"CREATE ROLE {name}", *analyst_role_sql.settings(name)])
            + f"and in psql: \\password {name}. Then run this again; --print-sql shows what it does",
        )
    await analyst_role_sql.run(connection, [f"CREATE ROLE {name}"])


async def _view_location(connection: AsyncConnection) -> ViewLocation:
    where = await analyst_role_sql.view_location(connection)
    if where is None:
        raise HealthError("The database has no views for analysts yet", "Run: account-health migrate")
    return where


def _refuse_others(name: str, role: DatabaseRole | None) -> None:
    if role and (role.is_me or role.is_privileged):
        raise HealthError(
            f"The role {name} may do more than read, or is a member of others", "Give another name for the reader"
        )
