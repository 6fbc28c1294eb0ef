"""Databases that tests give back: emptied and lent again, as long as only rows were changed in them.

Emptying a small database takes a tenth of the time of creating and dropping one.
"""

import json
from typing import Any, NamedTuple

import asyncpg

_SCHEMA = """
SELECT md5(string_agg(line, ',' ORDER BY line)) FROM (
    SELECT format('class %s %s %s', oid, xmin, reltuples) FROM pg_class
    WHERE relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
      AND relnamespace <> 'pg_toast'::regnamespace AND relpersistence <> 't'
    UNION ALL SELECT format('attribute %s %s %s', attrelid, attnum, xmin) FROM pg_attribute WHERE attrelid >= 16384
    UNION ALL SELECT format('constraint %s %s', oid, xmin) FROM pg_constraint
    UNION ALL SELECT format('function %s %s', oid, xmin) FROM pg_proc WHERE oid >= 16384
    UNION ALL SELECT format('trigger %s %s', oid, xmin) FROM pg_trigger
    UNION ALL SELECT format('type %s %s', oid, xmin) FROM pg_type WHERE oid >= 16384
    UNION ALL SELECT format('schema %s %s', nspname, xmin) FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp_'
    UNION ALL SELECT format('rights %s %s', oid, xmin) FROM pg_default_acl
    UNION ALL SELECT format('comment %s %s %s', objoid, objsubid, xmin) FROM pg_description WHERE objoid >= 16384
    UNION ALL SELECT format('settings %s %s', setrole, setting.xmin) FROM pg_db_role_setting AS setting
              JOIN pg_database ON pg_database.oid = setdatabase WHERE datname = current_database()
    UNION ALL SELECT format('database %s %s', oid, xmin) FROM pg_database WHERE datname = current_database()
) AS lines (line)
"""
"""A definition that was changed has another row in the catalogue; tables that were analyzed get other plans."""
_OTHERS_OUT = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_TABLES = """
SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
"""
_RESTART = """
SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false) FROM pg_sequences
WHERE last_value IS NOT NULL
"""
MOST_GROWTH = 4_000_000
"""The bytes by which a database may have grown: deleted rows still take room, and indexes stay as large."""


class Origin(NamedTuple):
    """A database as it was when it was new."""

    schema: str
    size: int
    tables: list[str]
    rows: dict[str, list[Any]]
    """The rows of tables that aren't empty, as JSON."""


async def origin_of(url: str) -> Origin:
    """Read what a new database has."""
    connection = await asyncpg.connect(url)
    try:
        tables = [row[0] for row in await connection.fetch(_TABLES)]
        found = {table: await connection.fetchval(f"SELECT json_agg(each) FROM {table} AS each") for table in tables}
        return Origin(
            await connection.fetchval(_SCHEMA),
            await connection.fetchval("SELECT pg_database_size(current_database())"),
            tables,
            {table: json.loads(rows) for table, rows in found.items() if rows},
        )
    finally:
        await connection.close()


async def restore(url: str, origin: Origin) -> bool:
    """Bring a database back to its origin, even while clients are connected; False if a new one is needed."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_OTHERS_OUT)
        if await connection.fetchval("SELECT pg_database_size(current_database())") > origin.size + MOST_GROWTH:
            return False
        async with connection.transaction():
            if await connection.fetchval(_SCHEMA) != origin.schema:
                return False
            await connection.execute("SET LOCAL session_replication_role = replica")
            await connection.execute(";".join(f"DELETE FROM {table}" for table in origin.tables))
            for table, rows in origin.rows.items():
                await connection.execute(
                    f"INSERT INTO {table} SELECT * FROM json_populate_recordset(NULL::{table}, $1)", json.dumps(rows)
                )
            await connection.execute(_RESTART)
        return True
    finally:
        await connection.close()
