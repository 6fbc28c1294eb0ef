"""Batches of records follow the speed of the database, and one that Postgres gives up comes back smaller."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from service.runtime import batch_size
from service.runtime.settings import Settings
from tests.support.cloud_events import produce, record, usage
from tests.support.service import consuming, folded_up_to, query

pytestmark = pytest.mark.anyio

FIRST = 64


@pytest.fixture(autouse=True)
def small_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A first batch that even a slow database writes within seconds."""
    monkeypatch.setattr(batch_size, "FIRST", FIRST)


async def slow_down(engine: AsyncEngine) -> None:
    """Have Postgres take 20 ms for each new score."""
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN PERFORM pg_sleep(0.02); RETURN NEW; END $$"
            )
        )
        await connection.execute(
            text("CREATE TRIGGER dawdle BEFORE INSERT ON scores FOR EACH ROW EXECUTE FUNCTION dawdle()")
        )


async def batches_of(settings: Settings, engine: AsyncEngine, records: int) -> list[int]:
    """Fold so many events that wait, of an account each; returns the number in each batch, in order."""
    waiting = [record(settings.topic_usage, usage(f"account-{number}")) for number in range(records)]
    await produce(settings.kafka_bootstrap_servers, waiting)
    async with consuming(settings):
        await folded_up_to(engine, records)
    rows = await query(engine, "SELECT count(*) AS accounts FROM scores GROUP BY evaluated_at ORDER BY evaluated_at")
    assert sum(row.accounts for row in rows) == records
    return [row.accounts for row in rows]


async def test_a_fast_database_gets_large_batches(settings: Settings, engine: AsyncEngine) -> None:
    sizes = await batches_of(settings, engine, 3_000)
    assert sizes[0] <= FIRST
    assert max(sizes) >= 8 * FIRST


async def test_a_slow_database_gets_small_batches(settings: Settings, engine: AsyncEngine) -> None:
    """Those of two seconds, as many more wait."""
    await slow_down(engine)
    sizes = await batches_of(settings, engine, 400)
    assert max(sizes) <= 110
    assert max(sizes) > FIRST


async def test_a_batch_that_postgres_gives_up_comes_back_at_half_its_size(
    settings: Settings, engine: AsyncEngine
) -> None:
    """It would be tried at the same size for ever."""
    await slow_down(engine)
    async with engine.begin() as connection:
        database = (await connection.execute(text("SELECT quote_ident(current_database())"))).scalar_one()
        await connection.execute(text(f"ALTER DATABASE {database} SET statement_timeout = '800ms'"))
    with capture_logs() as logs:
        sizes = await batches_of(settings, engine, 100)
    assert max(sizes) < 40
    cut = [entry for entry in logs if entry["event"] == "batch_size_cut"]
    assert [(each["given_up"], each["limit"]) for each in cut][:1] == [(FIRST, FIRST // 2)]
    assert "took too long" in cut[0]["reason"]
    assert not any(entry["event"] == "batch_fails" for entry in logs)
