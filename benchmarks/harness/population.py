"""Accounts without their events: some hundreds are folded by the service itself, and copied as often as needed."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime, timedelta

import asyncpg

from benchmarks.harness.servers import Arena, connected, engine_of, url_of
from scoring.state.calendar import to_micros
from scoring.state.events import Event
from service.demo.world.customers import make_customers
from service.demo.world.history import HISTORY_DAYS, happened, introductions
from service.evaluation.evaluate import Inputs, advance_accounts
from service.evaluation.policy import PolicyCache
from service.messaging.cloudevents import decode_structured
from service.runtime.settings import Settings

TEMPLATES = 300
SEED = 1
TABLES = ("accounts", "scores", "listed_accounts", "ticket_states", "survey_states")

Expressions = Mapping[str, str]
"""SQL by column, over the account's number `n`, replacing the template's value."""


def chance(salt: int) -> str:
    """SQL for a number from 0 to 1 of account `n`; a different one for each `salt`."""
    return f"((hashint8extended(n, {salt}) & 1073741823) / 1073741824.0::float8)"


def populated(
    arena: Arena,
    name: str,
    accounts: int,
    at: datetime,
    tables: tuple[str, ...] = TABLES,
    changed: Mapping[str, Expressions] | None = None,
) -> Settings:
    """Settings of a new database with accounts last scored at the moment `at`, after VACUUM ANALYZE.

    They have up to 90 days of usage, tickets and surveys, as the demo's customers have. `changed` are expressions for
    columns, by table.
    """
    settings = arena.prepared(name)
    asyncio.run(_populate(settings, accounts, at, tables, changed or {}))
    return settings


async def _populate(
    settings: Settings, accounts: int, at: datetime, tables: tuple[str, ...], changed: Mapping[str, Expressions]
) -> None:
    await _fold_templates(settings, at)
    async with connected(url_of(settings)) as connection:
        await connection.execute(
            "CREATE TEMP TABLE template AS SELECT account_id, row_number() OVER () - 1 AS place FROM scores"
        )
        for table in tables:
            await _copy(connection, table, accounts, changed.get(table, {}))
        for table in TABLES:
            await connection.execute(
                f"DELETE FROM {table} USING template WHERE {table}.account_id = template.account_id"
            )
            await connection.execute(f"VACUUM ANALYZE {table}")
        await connection.execute("CHECKPOINT")


async def _copy(connection: asyncpg.Connection, table: str, accounts: int, changed: Expressions) -> None:
    """Insert copies in an order that doesn't help: neighbours by id aren't neighbours on disk."""
    kept = await connection.fetch(
        "SELECT quote_ident(attname) AS name FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0"
        " AND NOT attisdropped AND attgenerated = '' AND attname <> 'account_id'",
        table,
    )
    names = [row["name"] for row in kept]
    values = [changed.get(name, f"kept.{name}") for name in names]
    await connection.execute(
        f"INSERT INTO {table} (account_id, {', '.join(names)})"
        f" SELECT 'account-' || lpad(n::text, 7, '0'), {', '.join(values)}"
        f" FROM generate_series(0::bigint, {accounts - 1}) AS n"
        f" JOIN template ON place = n % {TEMPLATES} JOIN {table} AS kept USING (account_id)"
        f" ORDER BY hashint8extended(n, 99)"
    )


async def _fold_templates(settings: Settings, at: datetime) -> None:
    """Have the service fold all events of some of the demo's customers."""
    since = at - timedelta(days=HISTORY_DAYS)
    customers = make_customers(TEMPLATES, SEED, at.date())
    events: defaultdict[str, list[Event]] = defaultdict(list)
    for event in [*introductions(customers, since), *happened(customers, SEED, at.date(), since, at)]:
        decoded = decode_structured(event.signal, event.encode(), to_micros(event.at))
        events[event.account_id].append(decoded.event)
    async with engine_of(settings) as engine, engine.begin() as connection:
        policy = await PolicyCache(HISTORY_DAYS + 2, lambda: 0.0).in_force(connection)
        await advance_accounts(connection, Inputs(dict(events)), policy, at, base_url="")
