"""Locks of others that hold the service up are seen while they do: who waits, for whom, and what to do."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from service.runtime.settings import Settings
from service.storage.database import lock_watch
from service.storage.database.engine import create_engine
from tests.support.scraped import value
from tests.support.webhooks import add_alert, add_endpoint, local_settings, receiver, until, working

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock_watch, "CHECK_SECONDS", 0.05)
    monkeypatch.setattr(lock_watch, "LONG_SECONDS", 0.3)


@pytest.mark.parametrize("table", ["scores", "deliveries"])
async def test_a_table_that_is_locked_is_reported_while_it_is(
    engine: AsyncEngine, database_url: str, table: str
) -> None:
    consumer = create_engine(Settings(_env_file=None, database_url=database_url), "consume-1")

    async def read() -> None:
        async with consumer.connect() as connection:
            await connection.execute(text(f"SELECT count(*) FROM {table}"))

    with capture_logs() as logs:
        async with working(engine, local_settings()):
            await asyncio.sleep(0.2)
            async with engine.begin() as holder:
                await holder.execute(text("SET LOCAL application_name = 'somebody else'"))
                await holder.execute(text(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
                waiting = asyncio.create_task(read())
                await until(lambda: any(each["event"] == "lock_waited_for" for each in logs))
                assert (value("health_postgres_lock_wait_seconds") or 0) >= 0.3
            await waiting
            await until(lambda: value("health_postgres_lock_wait_seconds") == 0)
    [told] = [each for each in logs if each["event"] == "lock_waited_for"]
    assert (told["holder"], told["table"]) == ("somebody else", table)
    assert told["waiting"].startswith("account-health ")
    assert f"pg_terminate_backend({told['pid']})" in told["remedy"]
    await consumer.dispose()


async def test_why_nothing_can_be_claimed_is_in_the_log(engine: AsyncEngine, database_url: str) -> None:
    async with receiver() as crm:
        await add_endpoint(engine, crm.url)
        await add_alert(engine, "acme")
        with capture_logs() as logs:
            async with engine.begin() as admin:
                await admin.execute(text("LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE"))
                failing = create_engine(
                    Settings(_env_file=None, database_url=database_url),
                    "deliver",
                    longest_statement=0.2,
                )
                async with working(failing, local_settings()):
                    await until(lambda: any(each["event"] == "deliveries_not_claimed" for each in logs))
                await failing.dispose()
    told = next(each for each in logs if each["event"] == "deliveries_not_claimed")
    assert told["sqlstate"] == "57014"
    assert told["reason"] == "Postgres gave up a statement that took too long"
