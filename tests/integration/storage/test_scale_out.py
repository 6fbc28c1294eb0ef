"""The DDL of deploy/sql: partitioned tables hold and do what whole ones did; Citus's conditions are met by the keys."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.sweep.history_partitions import keep_history
from consumers.sweep.runner import sweep_once
from scoring.state.calendar import day_of, to_micros
from scoring.state.events import Event, UsageEvent
from service.evaluation.evaluate import Inputs, advance_accounts
from service.evaluation.policy import PolicyCache, publish_default
from service.runtime.settings import Settings
from service.storage.accounts import accounts
from service.storage.accounts.account_filter import AccountFilter
from service.storage.accounts.listing import page as account_listing
from service.storage.database.engine import create_engine
from service.storage.database.migrate import upgrade
from tests.support.cloud_events import produce, record, usage
from tests.support.paths import ROOT
from tests.support.postgres import PostgresServer
from tests.support.service import consuming, folded_up_to, query, settings_for

pytestmark = pytest.mark.anyio

SQL = ROOT / "deploy" / "sql"
TABLES = ("scores", "accounts", "ticket_states", "survey_states", "listed_accounts")
START = datetime(2026, 3, 2, 12, tzinfo=UTC)
NAMES = [f"account-{number}" for number in range(300)]

SHAPE = """
    SELECT 'column', c.table_name, c.column_name, coalesce(c.column_default, c.generation_expression), c.data_type,
           c.is_nullable
    FROM information_schema.columns c WHERE c.table_schema = 'public' AND c.table_name = ANY(:tables)
    UNION ALL
    SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), NULL, NULL
    FROM pg_constraint WHERE conrelid::regclass::text = ANY(:tables)
    UNION ALL
    SELECT 'index', tablename, indexname, replace(indexdef, ' ON ONLY ', ' ON '), NULL, NULL
    FROM pg_indexes WHERE schemaname = 'public' AND tablename = ANY(:tables)
    UNION ALL
    SELECT 'trigger', tgrelid::regclass::text, tgname, pg_get_triggerdef(oid), NULL, NULL
    FROM pg_trigger WHERE NOT tgisinternal AND tgrelid::regclass::text = ANY(:tables)
    UNION ALL
    SELECT 'comment', attrelid::regclass::text, attname, description, NULL, NULL
    FROM pg_description JOIN pg_attribute ON attrelid = objoid AND attnum = objsubid
    WHERE classoid = 'pg_class'::regclass AND attnum > 0 AND attrelid::regclass::text = ANY(:tables)
    ORDER BY 1, 2, 3
"""


async def run_script(url: str, script: str, **settings: str) -> None:
    """Run a script as psql does."""
    connection = await asyncpg.connect(url, server_settings=settings or None)
    try:
        await connection.execute((SQL / script).read_text())
    finally:
        await connection.close()


def used(account_id: str, at: datetime, count: int) -> Event:
    micros = to_micros(at)
    return UsageEvent(account_id, micros, day_of(micros), day_of(micros), f"feature-{count % 7}", 1, count % 5)


class Service:
    """The service over one database, on a clock that stands where the test puts it."""

    def __init__(self, engine: AsyncEngine, settings: Settings) -> None:
        self.engine = engine
        self.settings = settings
        self.policies = PolicyCache(settings.retention_days, lambda: 0.0)

    async def fold(self, names: list[str], now: datetime) -> None:
        events = {name: [used(name, now, len(name) + place)] for place, name in enumerate(names)}
        async with self.engine.begin() as connection:
            policy = await self.policies.in_force(connection)
            await advance_accounts(connection, Inputs(events), policy, now, base_url="")

    async def sweep(self, now: datetime) -> int:
        swept = 0
        while count := await sweep_once(self.engine, self.policies, self.settings, now):
            swept += count
        return swept

    async def page(self) -> list[str]:
        async with self.engine.connect() as connection:
            page = await account_listing.page(connection, AccountFilter(), sort="-score", after=None, size=50)
        return [account.account_id for account in page.accounts]

    async def rows(self) -> dict[str, list[dict[str, Any]]]:
        """All stored rows, without their times."""
        found = {}
        for table, order in [*((table, "account_id") for table in TABLES), ("history", "account_id, day")]:
            rows = await query(self.engine, f"SELECT * FROM {table} ORDER BY {order}")
            found[table] = [{**row._mapping, "created_at": None} for row in rows]
        return found


@pytest.fixture
async def twins(postgres_server: PostgresServer) -> AsyncIterator[tuple[Service, Service]]:
    """Two databases; what the tests do to one, they do to the other, but for the partitions."""
    urls = [await asyncio.to_thread(postgres_server.create_migrated) for _ in range(2)]
    services = []
    for url in urls:
        settings = settings_for(url, "127.0.0.1:1", "", sweep_batch=40)
        services.append(Service(create_engine(settings, "test"), settings))
        async with services[-1].engine.begin() as connection:
            await publish_default(connection, settings.retention_days)
    yield services[0], services[1]
    for service, url in zip(services, urls, strict=True):
        await service.engine.dispose()
        await asyncio.to_thread(postgres_server.drop, url)


def url_of(service: Service) -> str:
    return service.settings.database_url.get_secret_value()


async def test_partitioned_tables_hold_and_do_what_whole_ones_did(twins: tuple[Service, Service]) -> None:
    whole, split = twins
    for service in twins:
        await service.fold(NAMES[:200], START)
    shape = await query(whole.engine, SHAPE, tables=list(TABLES))
    await run_script(url_of(split), "partition_accounts.sql", **{"health.partitions": "8"})

    assert await split.rows() == await whole.rows()
    assert await query(split.engine, SHAPE, tables=list(TABLES)) == shape
    kinds = await query(
        split.engine,
        "SELECT p.relname, count(*) AS parts FROM pg_inherits JOIN pg_class p ON p.oid = inhparent"
        " WHERE p.relkind = 'p' AND p.relname = ANY(:tables) GROUP BY 1",
        tables=list(TABLES),
    )
    assert {row.relname: row.parts for row in kinds} == dict.fromkeys(TABLES, 8)

    assert await keep_history(split.engine, START.date(), split.settings.history_retention_days)
    for service in twins:
        await service.fold(NAMES[100:], START + timedelta(hours=1))  # known accounts, and new ones
        assert await service.sweep(START + timedelta(days=1)) == 300
        assert await service.sweep(START + timedelta(days=1)) == 0
        for days in range(5, 25):
            await service.fold(NAMES, START + timedelta(days=days))
        async with service.engine.begin() as connection:
            assert await accounts.erase(connection, NAMES[0])
    assert await split.rows() == await whole.rows()
    assert await split.page() == await whole.page()
    assert {row["account_id"] for row in (await split.rows())["history"]} == set(NAMES[1:])
    assert await query(split.engine, "SELECT DISTINCT tableoid::regclass::text FROM history") == [("history_2026_03",)]
    for place in range(8):
        assert await query(split.engine, f"SELECT 1 FROM scores_{place} LIMIT 1"), "accounts are spread"


async def test_again_it_does_nothing_and_migrations_go_on(twins: tuple[Service, Service]) -> None:
    split, _ = twins
    await run_script(url_of(split), "partition_accounts.sql")
    await split.fold(NAMES, START)
    before = await split.rows()
    await run_script(url_of(split), "partition_accounts.sql", **{"health.partitions": "4"})
    await asyncio.to_thread(upgrade, url_of(split))
    assert await split.rows() == before
    assert len(await query(split.engine, "SELECT 1 FROM pg_inherits WHERE inhparent = 'scores'::regclass")) == 16
    async with split.engine.begin() as connection:  # what a later migration may do
        await connection.exec_driver_sql("ALTER TABLE scores ADD COLUMN later text NOT NULL DEFAULT ''")
        await connection.exec_driver_sql("DROP INDEX scores_due_at_idx")
        await connection.exec_driver_sql("CREATE INDEX scores_due_at_idx ON scores (due_at, account_id)")
    assert await split.sweep(START + timedelta(days=1)) == 300


async def test_who_may_read_and_how_rows_are_kept_stays(twins: tuple[Service, Service]) -> None:
    split, _ = twins
    role = f"analyst_{urlsplit(url_of(split)).path.rsplit('_', 1)[-1]}"
    connection = await asyncpg.connect(url_of(split))
    try:
        await connection.execute(
            f"CREATE ROLE {role}; GRANT SELECT ON scores TO {role}; GRANT SELECT ON accounts TO PUBLIC;"
            "ALTER TABLE scores SET (fillfactor = 40)"
        )
        await run_script(url_of(split), "partition_accounts.sql")
        privileges = await connection.fetchrow(
            f"SELECT has_table_privilege('{role}', 'scores', 'SELECT') AS may,"
            f" has_table_privilege('{role}', 'scores', 'UPDATE') AS may_not,"
            f" has_table_privilege('{role}', 'accounts', 'SELECT') AS may_too"
        )
        assert privileges is not None
        assert dict(privileges) == {"may": True, "may_not": False, "may_too": True}
        assert await connection.fetchval("SELECT reloptions FROM pg_class WHERE relname = 'scores_3'") == [
            "toast_tuple_target=4080",
            "fillfactor=40",
        ]
    finally:
        await connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
        await connection.close()


async def test_views_go_along_with_who_reads_them_and_what_is_built_on_them(twins: tuple[Service, Service]) -> None:
    split, whole = twins
    views = """
        CREATE VIEW of_analysts WITH (security_barrier) AS SELECT account_id, name FROM accounts;
        CREATE VIEW "Built on it" AS SELECT account_id FROM of_analysts;
        GRANT SELECT ON of_analysts TO PUBLIC;
        COMMENT ON COLUMN of_analysts.name IS 'kept'
    """
    kept = """
        SELECT n.nspname, c.relname, c.oid, reloptions, relacl, obj_description(c.oid),
               array(SELECT description FROM pg_description d WHERE d.objoid = c.oid ORDER BY objsubid)
        FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relkind = 'v' AND nspname IN ('public', 'analytics') ORDER BY 1, 2
    """
    for service in twins:
        await service.fold(NAMES, START)
        async with service.engine.begin() as connection:
            for statement in views.split(";"):
                await connection.exec_driver_sql(statement)
    before = await query(split.engine, kept)
    await run_script(url_of(split), "partition_accounts.sql")
    assert await query(split.engine, kept) == before
    assert len(before) > 2
    for view in ('"Built on it"', "analytics.account_health", "analytics.account_health_daily"):
        rows = f"SELECT * FROM {view} ORDER BY 1"
        found = [{**row._mapping, "evaluated_at": None} for row in await query(split.engine, rows)]
        assert found == [{**row._mapping, "evaluated_at": None} for row in await query(whole.engine, rows)]
        assert len(found) >= len(NAMES)


async def test_what_depends_on_a_table_stops_it_and_nothing_has_changed(twins: tuple[Service, Service]) -> None:
    split, whole = twins
    for service in twins:
        await service.fold(NAMES, START)
    async with split.engine.begin() as connection:
        await connection.exec_driver_sql(
            "CREATE MATERIALIZED VIEW of_analysts AS SELECT account_id, name FROM accounts"
        )
    with pytest.raises(asyncpg.DependentObjectsStillExistError, match="accounts_whole"):
        await run_script(url_of(split), "partition_accounts.sql")
    assert await split.rows() == await whole.rows()
    assert not await query(
        split.engine, "SELECT 1 FROM pg_class WHERE relkind = 'p' AND relname = ANY(:tables)", tables=list(TABLES)
    )


async def test_a_consumer_folds_into_partitions(settings: Settings, engine: AsyncEngine) -> None:
    await run_script(settings.database_url.get_secret_value(), "partition_accounts.sql")
    async with consuming(settings):
        events = [usage(f"account-{number % 100}") for number in range(400)]
        await produce(settings.kafka_bootstrap_servers, [record(settings.topic_usage, event) for event in events])
        await folded_up_to(engine, 400)
    assert (await query(engine, "SELECT count(*) FROM scores WHERE score IS NOT NULL OR band = 'unknown'"))[0][0] == 100
    assert len(await query(engine, "SELECT DISTINCT tableoid FROM scores WHERE usage IS NOT NULL")) > 8


# --- Citus: what it asks of the keys, https://docs.citusdata.com/en/stable/sharding/data_modeling.html ------------


def distributed() -> list[str]:
    return re.findall(r"^SELECT create_distributed_table\('(\w+)', 'account_id'", _citus(), re.MULTILINE)


def _citus() -> str:
    return (SQL / "distribute_citus.sql").read_text()


def test_citus_distributes_what_is_partitioned_by_account_and_history() -> None:
    assert distributed() == [*TABLES, "history"]
    assert _citus().count("colocate_with => 'scores'") == len(TABLES)


async def test_every_key_of_a_distributed_table_holds_account_id(engine: AsyncEngine) -> None:
    without = await query(
        engine,
        "SELECT indexrelid::regclass FROM pg_index WHERE indisunique AND indrelid::regclass::text = ANY(:tables)"
        " AND NOT EXISTS (SELECT FROM pg_attribute"
        "                 WHERE attrelid = indrelid AND attname = 'account_id' AND attnum = ANY(indkey))",
        tables=distributed(),
    )
    assert without == []


async def test_no_foreign_key_comes_from_or_leads_to_a_distributed_table_without_it(engine: AsyncEngine) -> None:
    without = await query(
        engine,
        "SELECT conname FROM pg_constraint WHERE contype = 'f'"
        " AND (conrelid::regclass::text = ANY(:tables) OR confrelid::regclass::text = ANY(:tables))"
        " AND NOT EXISTS (SELECT FROM unnest(conkey, confkey) AS pair (here, there)"
        "                 JOIN pg_attribute h ON h.attrelid = conrelid AND h.attnum = here"
        "                 JOIN pg_attribute t ON t.attrelid = confrelid AND t.attnum = there"
        "                 WHERE h.attname = 'account_id' AND t.attname = 'account_id')",
        tables=distributed(),
    )
    assert without == []
