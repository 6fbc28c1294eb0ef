"""deploy/analytics.md: its queries run as a reader and find something, and it names every column that there is."""

import re
from collections import defaultdict
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from service.runtime.settings import Settings
from service.storage.access import analyst_role
from service.storage.database.engine import create_engine
from tests.support.paths import ROOT
from tests.support.portfolio import Portfolio
from tests.support.service import settings_for

pytestmark = pytest.mark.anyio

MANUAL = (ROOT / "deploy" / "analytics.md").read_text()
QUERIES = re.findall(r"```sql\n(.*?)```", MANUAL, re.DOTALL)


@pytest.fixture
async def reader(portfolio: Portfolio) -> AsyncIterator[Any]:
    """A connection as a role that the command makes."""
    settings: Settings = settings_for(portfolio.database_url, "127.0.0.1:1", "")
    parts = urlsplit(portfolio.database_url)
    name = f"manual_{parts.path.rsplit('_', 1)[-1]}"
    engine = create_engine(settings, "test")
    async with engine.begin() as owner:
        made = await analyst_role.create(owner, name, None)
    connection = await asyncpg.connect(
        parts._replace(netloc=f"{name}:{made.password}@{parts.hostname}:{parts.port}").geturl()
    )
    yield connection
    await connection.close()
    async with engine.begin() as owner:
        await analyst_role.drop(owner, name)
    await engine.dispose()


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
async def test_every_query_finds_something(query: str, portfolio: Portfolio, reader: Any) -> None:
    owner = await asyncpg.connect(portfolio.database_url)
    await owner.execute("UPDATE accounts SET arr = 1000")
    some_account = str(await owner.fetchval("SELECT min(account_id) FROM accounts"))
    await owner.close()
    week_ago = f"timestamptz '{portfolio.now - timedelta(days=7)}'"
    query = query.replace("$__timeFrom()", week_ago).replace("$__timeTo()", f"timestamptz '{portfolio.now}'")
    rows = await reader.fetch(query.replace("busy-000", some_account))
    assert rows
    assert any(value is not None for value in rows[0].values())


async def test_every_view_and_column_is_named_in_its_section(reader: Any) -> None:
    columns = defaultdict(set)
    for row in await reader.fetch(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'analytics'"
    ):
        columns[row["table_name"]].add(row["column_name"])
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##)", MANUAL, re.DOTALL | re.MULTILINE))
    assert sections.keys() == columns.keys()
    for view, names in columns.items():
        text = re.sub(r"```.*?```", "", sections[view], flags=re.DOTALL)
        assert names - set(re.findall(r"`(\w+)`", text)) == set(), view


async def test_the_statements_by_hand_are_those_that_the_command_prints(portfolio: Portfolio) -> None:
    settings = settings_for(portfolio.database_url, "127.0.0.1:1", "")
    engine = create_engine(settings, "test")
    async with engine.connect() as connection:
        printed = await analyst_role.statements(connection, "health_reader")
    await engine.dispose()
    parts = urlsplit(portfolio.database_url)
    plain = [
        statement.replace(f"DATABASE {parts.path[1:]}", "DATABASE health").replace(
            f"FOR ROLE {parts.username}", "FOR ROLE health"
        )
        for statement in printed
    ]
    assert "".join(f"    {statement};\n" for statement in plain) in MANUAL
