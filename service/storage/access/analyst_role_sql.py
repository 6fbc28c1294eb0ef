"""SQL for roles that may read the views of the schema `analytics`, and nothing else: creates them and revokes them."""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

LIMITS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "'60s'",
    "idle_in_transaction_session_timeout": "'60s'",
    # One query must not take more than one processor from consumers; and queries are short.
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    "search_path": "analytics",
    # All days are UTC's: `current_date` and casts to date must agree with them.
    "timezone": "'UTC'",
}
"""Settings of a reader's sessions, as SQL. They prevent accidents: a reader may change them."""
MOST_CONNECTIONS = 20

_SCRAM_ITERATIONS = 4096
"""Postgres's own default; passwords are required to be random."""

_LOCK_KEY = 0x726561646572  # "reader"


class DatabaseRole(NamedTuple):
    """A role's rights beside reading; `is_me` is the current user, `is_mine` means that this user may alter it.

    `is_of_others` is a role that was never made a reader, and owns something or may write in this database.
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
    """Lock readers against other changes until the transaction ends."""
    await connection.execute(text("SELECT pg_advisory_xact_lock(:turn)"), {"turn": _LOCK_KEY})


async def find(connection: AsyncConnection, name: str) -> DatabaseRole | None:
    """The role of that name, or None."""
    row = (await connection.execute(_FIND, {"name": name})).one_or_none()
    return DatabaseRole(*row) if row else None


async def may_create(connection: AsyncConnection) -> bool:
    """True if the user of this connection may create roles."""
    statement = text("SELECT rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user")
    return bool((await connection.execute(statement)).scalar_one())


class ViewLocation(NamedTuple):
    """The database that readers get access to, and the owner of the views; both quoted if necessary."""

    database: str
    owner: str


_VIEW_LOCATION = text("""
    SELECT quote_ident(current_database()), quote_ident(pg_get_userbyid(relowner))
    FROM pg_class WHERE oid = to_regclass('analytics.account_health')
""")


async def view_location(connection: AsyncConnection) -> ViewLocation | None:
    """The place of the views; None before they exist."""
    row = (await connection.execute(_VIEW_LOCATION)).one_or_none()
    return ViewLocation(*row) if row else None


def settings(name: str) -> list[str]:
    """Statements that let a role log in, within limits; for a user who may alter it."""
    return [
        f"ALTER ROLE {name} LOGIN CONNECTION LIMIT {MOST_CONNECTIONS}",
        *(f"ALTER ROLE {name} SET {setting} = {value}" for setting, value in LIMITS.items()),
    ]


_SET = text("""
    SELECT rolcanlogin AND rolconnlimit BETWEEN 0 AND :most, coalesce(rolconfig, '{}')
    FROM pg_roles WHERE rolname = :name
""")


async def missing_settings(connection: AsyncConnection, name: str) -> list[str]:
    """The statements of `settings` that have not been run for a role, as far as that is visible."""
    is_limited, config = (await connection.execute(_SET, {"name": name, "most": MOST_CONNECTIONS})).one()
    first, *others = settings(name)
    wanted = (f"{setting}={value.strip(chr(39))}" for setting, value in LIMITS.items())
    present = {each.lower() for each in config}
    missing = [statement for statement, pair in zip(others, wanted, strict=True) if pair.lower() not in present]
    return missing if is_limited else [first, *missing]


def grants(name: str, where: ViewLocation) -> list[str]:
    """Statements that let a role read, for the owner of the views. The last one covers future views."""
    return [
        f"GRANT CONNECT ON DATABASE {where.database} TO {name}",
        f"GRANT USAGE ON SCHEMA analytics TO {name}",
        f"GRANT SELECT ON ALL TABLES IN SCHEMA analytics TO {name}",
        f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA analytics TO {name}",
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {where.owner} IN SCHEMA analytics GRANT SELECT ON TABLES TO {name}",
    ]


def revocations(name: str, where: ViewLocation) -> list[str]:
    """Statements that revoke `grants`, and drop the role."""
    return [
        f"ALTER DEFAULT PRIVILEGES FOR ROLE {where.owner} IN SCHEMA analytics REVOKE SELECT ON TABLES FROM {name}",  # noqa: S608 - of names that were checked
        f"REVOKE ALL ON ALL FUNCTIONS IN SCHEMA analytics FROM {name}",
        f"REVOKE ALL ON ALL TABLES IN SCHEMA analytics FROM {name}",
        f"REVOKE ALL ON SCHEMA analytics FROM {name}",
        f"REVOKE ALL ON DATABASE {where.database} FROM {name}",
        f"DROP ROLE {name}",
    ]


def password(name: str, password: str, salt: bytes) -> str:
    """The statement that sets a password of printable ASCII, with a random salt of 16 bytes.

    It holds a verifier in place of the password, which would show up in the server's log and in pg_stat_statements.
    """
    return f"ALTER ROLE {name} PASSWORD '{_scram_verifier(password, salt)}'"


def _scram_verifier(password: str, salt: bytes) -> str:
    """The SCRAM-SHA-256 verifier, which Postgres stores in place of the password (RFC 5803)."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode("ascii"), salt, _SCRAM_ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    return f"SCRAM-SHA-256${_SCRAM_ITERATIONS}:{_base64(salt)}${_base64(stored_key)}:{_base64(server_key)}"


def _base64(key: bytes) -> str:
    return base64.b64encode(key).decode()


async def run(connection: AsyncConnection, statements: Sequence[str]) -> None:
    """Run statements made by this module's functions, for a checked name."""
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
    """The relations that a role may read beside the views, in this database, because of a grant to it or to PUBLIC."""
    return list((await connection.execute(_REACHABLE, {"name": name})).scalars())


def is_forbidden(error: DBAPIError) -> bool:
    """True if this user lacks the right."""
    return getattr(error.orig, "sqlstate", None) == "42501"


def has_dependents(error: DBAPIError) -> bool:
    """True if something depends on what was to be dropped."""
    return getattr(error.orig, "sqlstate", None) == "2BP01"
