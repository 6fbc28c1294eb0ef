"""Delivery where Postgres gives up what takes long: as many are claimed and recorded at once as get done."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.delivery.recording import Ended, Recorder
from service.delivery.retry import Succeeded
from service.storage import deliveries
from service.storage.deliveries import Attempt, Attempted, ClaimedDelivery
from tests.support.webhooks import add_alert, add_endpoint, local_settings, receiver, states, until, working

pytestmark = pytest.mark.anyio


@pytest.fixture
async def hurried(engine: AsyncEngine) -> AsyncIterator[None]:
    """Postgres gives up what takes half a second."""

    def hurry(connection: object) -> None:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 500")  # type: ignore[attr-defined]

    event.listen(engine.sync_engine, "begin", hurry)
    yield
    event.remove(engine.sync_engine, "begin", hurry)


async def add_48(engine: AsyncEngine, url: str) -> None:
    for _ in range(3):
        await add_endpoint(engine, url)
    for number in range(16):
        await add_alert(engine, f"account-{number}")


async def slow_down(engine: AsyncEngine, what: str) -> None:
    """Have each row take so long that twelve take as long as there is, and 48 two seconds."""
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN PERFORM pg_sleep(0.04); RETURN NEW; END $$"
            )
        )
        await connection.execute(text(f"CREATE TRIGGER slow BEFORE {what} FOR EACH ROW EXECUTE FUNCTION slow()"))


def succeeded(delivery: ClaimedDelivery) -> Ended:
    now = datetime.now(UTC)
    made = Attempt(started_at=now, duration_seconds=0.1, status=204, error=None, response=None)
    return Ended(Attempted(delivery=delivery, attempt=made, state="succeeded", due_at=now), Succeeded(), None)


@pytest.mark.usefixtures("hurried")
async def test_what_takes_too_long_is_claimed_in_smaller_parts(engine: AsyncEngine) -> None:
    async with receiver() as crm:
        await add_48(engine, crm.url)
        await slow_down(engine, "UPDATE OF lease ON deliveries")
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: len(outcomes) >= 48, 25)
    assert await states(engine) == ["succeeded"] * 48
    assert set(Counter(crm.ids).values()) == {3}


@pytest.mark.usefixtures("hurried")
async def test_what_takes_too_long_is_recorded_in_smaller_parts(engine: AsyncEngine) -> None:
    await add_48(engine, "http://127.0.0.1:9/hook")
    async with engine.begin() as connection:
        claimed = await deliveries.claim(connection, 48, datetime.now(UTC), 20, room={}, room_otherwise=48)
    await slow_down(engine, "UPDATE OF state ON deliveries")
    recorder = Recorder(engine, "http://localhost")
    assert await asyncio.gather(*(recorder.record(succeeded(each)) for each in claimed)) == [True] * 48
    assert await states(engine) == ["succeeded"] * 48
