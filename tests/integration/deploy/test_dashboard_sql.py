"""Every SQL query of the dashboards runs as the reader's role, on a migrated database that has the demo's customers."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.state.calendar import to_micros
from scoring.state.events import Event
from service.demo.world.customers import make_customers
from service.demo.world.events import DemoEvent
from service.demo.world.history import happened, introductions
from service.messaging.cloudevents import decode_structured
from service.runtime.settings import Settings
from service.storage.access import analyst_role
from tests.support.grafana import interpolated, sql
from tests.support.sweeping import Clock

pytestmark = pytest.mark.anyio

ACCOUNTS = 60
DAYS = 45
DASHBOARD = "customer-success.json"
READER = "health_reader_of_dashboards"
PASSWORD = "only for tests, and long enough"


@pytest.fixture
async def reader(engine: AsyncEngine, database_settings: Settings) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the role that Grafana has, to a database with customers that live and fade."""
    now = datetime.now(UTC)
    await _live(Clock(engine, database_settings), now)
    async with engine.begin() as connection:
        await analyst_role.create(connection, READER, PASSWORD, renew=True)
    url = make_url(database_settings.database_url.get_secret_value()).set(username=READER, password=PASSWORD)
    connected = await asyncpg.connect(url.render_as_string(hide_password=False))
    try:
        yield connected
    finally:
        await connected.close()
        async with engine.begin() as connection:
            await analyst_role.drop(connection, READER)


async def _live(clock: Clock, now: datetime) -> None:
    customers = make_customers(ACCOUNTS, 7, now.date())
    await clock.add_rule("At risk", "score", direction="below", level=60.0)
    first = now - timedelta(days=DAYS)
    events = [*introductions(customers, first), *happened(customers, 7, now.date(), first, now)]
    for day in range(DAYS + 1):
        until = first + timedelta(days=day)
        await clock.fold(_by_account(events, until - timedelta(days=1), until), until)
        await clock.sweep(until)


def _by_account(events: list[DemoEvent], since: datetime, until: datetime) -> dict[str, list[Event]]:
    found: dict[str, list[Event]] = {}
    for event in events:
        if since < event.at <= until:
            decoded = decode_structured(event.signal, event.encode(), to_micros(until)).event
            found.setdefault(decoded.account_id, []).append(decoded)
    return found


async def test_every_query_runs_and_finds_something(reader: asyncpg.Connection) -> None:
    now = datetime.now(UTC)
    variables: dict[str, list[str]] = {}
    empty = []
    for where, text in sql(DASHBOARD):
        statement = interpolated(text, variables, now - timedelta(days=90), now)
        rows = await reader.fetch(statement)
        if where.startswith("variable "):
            variables[where.removeprefix("variable ")] = [str(row[0]) for row in rows]
            if where == "variable account":
                variables["account"] = [await _one_that_fires(reader)]
        if not any(value for row in rows for value in row.values()):
            empty.append(where)
    assert variables["segment"]
    assert empty == []


async def _one_that_fires(reader: asyncpg.Connection) -> str:
    found: Any = await reader.fetchval(
        "SELECT account_id FROM analytics.account_health WHERE firing_alerts > 0 LIMIT 1"
    )
    return str(found)


async def test_choosing_a_segment_and_an_owner_narrows_all_tables_down(reader: asyncpg.Connection) -> None:
    now = datetime.now(UTC)
    nobody = {"segment": ["no such segment", "O'Neil"], "owner": ["nobody at all"], "account": ["nobody"]}
    for where, text in sql(DASHBOARD):
        if where.startswith("variable ") or "${segment" not in text:
            continue
        rows = await reader.fetch(interpolated(text, nobody, now - timedelta(days=90), now))
        assert not rows or all(not value for row in rows for value in row.values()), where
