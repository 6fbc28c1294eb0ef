"""Roles that may read the views of the schema `analytics`, and nothing else: what makes one, and what takes it back."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

LIMITS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "'60s'",
    "idle_in_transaction_session_timeout": "'60s'",
    # One query shall not take more than a processor from those who fold; and what it does is short.
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "search_path": "analytics",
    # All days are UTC's: what `current_date` and a cast to date say has to be one of them.
    "timezone": "'UTC'",
}
"""Settings of a reader's sessions, as SQL. They keep from accidents: a reader may set them otherwise."""
MOST_CONNECTIONS = 20

_LOCK_KEY = 0x726561646572  # "reader"


class DatabaseRole(NamedTuple):
    """What a role may do beside reading; `is_me` is the one that asks, `is_mine` says that it may alter it.

    `is_of_others` is one that was never made a reader, and owns something or may write in this database.
    """

    is_me: bool
    is_privileged: bool
    is_mine: bool
    is_of_others: bool


_FIND = text("""
    SELECT role.rolname = current_user,
           role.rolsuper OR role.rolcreaterole OR role.rolcreatedb OR role.rolreplication OR role.rolbypassrls
               OR EXISTS (SELECT FROM pg_auth_members WHERE member = role.oid),
           me.rolsuper OR me.rolcreaterole AND (
               CAST(current_setting('server_version_num') AS int) < 160000
               OR EXISTS (SELECT FROM pg_auth_members WHERE roleid = role.oid AND member = me.oid AND admin_option)),
           NOT EXISTS (SELECT FROM pg_default_acl, aclexplode(defaclacl)
                       WHERE defaclnamespace = to_regnamespace('analytics') AND grantee = role.oid)
               AND (EXISTS (SELECT FROM pg_shdepend
                            WHERE refclassid = CAST('pg_authid' AS regclass) AND refobjid = role.oid AND deptype = 'o')
                    OR EXISTS (SELECT FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'f') AND (
                        (has_any_column_privilege(role.oid, oid, 'INSERT, UPDATE')
                         AND NOT has_any_column_privilege('public', oid, 'INSERT, UPDATE'))
                        OR (has_table_privilege(role.oid, oid, 'DELETE, TRUNCATE')
                            AND NOT has_table_privilege('public', oid, 'DELETE, TRUNCATE')))))
    FROM pg_roles AS role, pg_roles AS me WHERE role.rolname = :name AND me.rolname = current_user
""")


async def acquire_lock(connection: AsyncConnection) -> None:
    """Be the only one to change readers until the transaction ends."""
    await connection.execute(text("SELECT pg_advisory_xact_lock(:turn)"), {"turn": _LOCK_KEY})


async def find(connection: AsyncConnection, name: str) -> DatabaseRole | None:
    """The role of that name, or None."""
    row = (await connection.execute(_FIND, {"name": name})).one_or_none()
    return DatabaseRole(*row) if row else None


async def may_create(connection: AsyncConnection) -> bool:
    """Whether the user of this connection may create roles."""
    statement = text("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user")
    return bool((await connection.execute(statement)).scalar_one())


class ViewLocation(NamedTuple):
    """What readers are let into: the database, and who owns the views; both quoted where they have to be."""

    database: str
    owner: str


_PLACE = text("""
    SELECT quote_ident(current_database()), quote_ident(pg_get_userbyid(relowner))
    FROM pg_class WHERE oid = to_regclass('analytics.account_health')
""")


async def view_location(connection: AsyncConnection) -> ViewLocation | None:
    """Where the views are; None before they are."""
    row = (await connection.execute(_PLACE)).one_or_none()
    return ViewLocation(*row) if row else None


def settings(name: str) -> list[str]:
    """Statements that let a role log in, within limits; for who may alter it."""
    return [
        f"ALTER ROLE {name} LOGIN CONNECTION LIMIT {MOST_CONNECTIONS}",
        *(f"ALTER ROLE {name} SET {setting} = {value}" for setting, value in LIMITS.items()),
    ]


_SET = text("""
    SELECT rolcanlogin AND rolconnlimit BETWEEN 0 AND :most, coalesce(rolconfig, '{}')
    FROM pg_roles WHERE rolname = :name
""")


async def missing_settings(connection: AsyncConnection, name: str) -> list[str]:
    """Those of the statements of `settings` that haven't been run for a role, as far as that can be seen."""
    is_limited, config = (await connection.execute(_SET, {"name": name, "most": MOST_CONNECTIONS})).one()
    first, *others = settings(name)
    wanted = (f"{setting}={value.strip(chr(39))}" for setting, value in LIMITS.items())
    present = {each.lower() for each in config}
    missing = [statement for statement, pair in zip(others, wanted, strict=True) if pair.lower() not in present]
    return missing if is_limited else [first, *missing]


def grants(name: str, where: ViewLocation) -> list[str]:
    """Statements that let a role read, for the owner of the views. The last is about views that are yet to come."""
    return [
        f"GRANT CONNECT ON DATABASE {where.database} TO {name}",
        f"GRANT USAGE ON SCHEMA analytics TO {name}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA analytics TO {name}",
        f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA analytics TO {name}",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {where.owner} IN SCHEMA analytics GRANT SELECT ON TABLES TO {name}",
    ]


def revocations(name: str, where: ViewLocation) -> list[str]:
    """Statements that take back what `grants` gave, and the role."""
    return [
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {where.owner} IN SCHEMA analytics REVOKE SELECT ON TABLES FROM {name}",  # noqa: S608 - of names that were checked
        f"REVOKE ALL ON ALL FUNCTIONS IN SCHEMA analytics FROM {name}",
        f"REVOKE ALL ON ALL TABLES IN SCHEMA analytics FROM {name}",
        f"REVOKE ALL ON SCHEMA analytics FROM {name}",
        f"REVOKE ALL ON DATABASE {where.database} FROM {name}",
        f"DROP ROLE {name}",
    ]


def password(name: str, verifier: str) -> str:
    """The statement that sets a password, of which only the verifier is known: see service/runtime/scram.py."""
    return f"ALTER ROLE {name} PASSWORD '{verifier}'"


async def run(connection: AsyncConnection, statements: Sequence[str]) -> None:
    """Run statements made by this module's functions, of a name that was checked."""
    for statement in statements:
        await connection.exec_driver_sql(statement)


_REACHABLE = text("""
    SELECT CAST(CAST(oid AS regclass) AS text) FROM pg_class
    WHERE relkind IN ('r', 'p', 'v', 'm', 'f')
      AND relnamespace NOT IN (SELECT oid FROM pg_namespace
                               WHERE nspname IN ('analytics', 'pg_catalog', 'information_schema'))
      AND has_table_privilege(:name, oid, 'SELECT') AND has_schema_privilege(:name, relnamespace, 'USAGE')
    ORDER BY 1
""")


async def reachable(connection: AsyncConnection, name: str) -> list[str]:
    """What a role may read beside the views, in this database: because it was granted to it, or to PUBLIC."""
    return list((await connection.execute(_REACHABLE, {"name": name})).scalars())


def is_forbidden(error: DBAPIError) -> bool:
    """Whether this user may not do that."""
    return getattr(error.orig, "sqlstate", None) == "42501"


def is_needed(error: DBAPIError) -> bool:
    """Whether something depends on what was to be dropped."""
    return getattr(error.orig, "sqlstate", None) == "2BP01"
