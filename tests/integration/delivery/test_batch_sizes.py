"""Delivery where Postgres gives up what takes long, and where one row is at fault: the others go on."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.delivery.claim import UnclaimableError
from service.delivery.claimer import MOST_IN_A_ROW
from service.delivery.endpoint_health import EndedAttempt
from service.delivery.recorder import Recorder
from service.delivery.retry import Succeeded
from service.delivery.worker import run
from service.observability.metrics import DELIVERIES_SET_ASIDE
from service.storage.webhooks import outbox
from service.storage.webhooks.delivery_results import AttemptRecord, AttemptResult
from service.storage.webhooks.outbox import ClaimedDelivery, SendingLimits
from tests.support.service import query
from tests.support.webhooks import add_alert, add_endpoint, answers, local_settings, receiver, states, until, working

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
    await on_write(engine, what, "PERFORM pg_sleep(0.04)")


async def on_write(engine: AsyncEngine, what: str, does: str) -> None:
    """Have Postgres do that at each write."""
    async with engine.begin() as connection:
        await connection.execute(
            text(f"CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {does}; RETURN NEW; END $$")
        )
        await connection.execute(text(f"CREATE TRIGGER spoil BEFORE {what} FOR EACH ROW EXECUTE FUNCTION spoil()"))


def succeeded(delivery: ClaimedDelivery) -> EndedAttempt:
    now = datetime.now(UTC)
    made = AttemptRecord(started_at=now, duration_seconds=0.1, status=204, error=None, response=None)
    return EndedAttempt(
        AttemptResult(delivery=delivery, attempt=made, state="succeeded", due_at=now), Succeeded(), None
    )


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
        claimed = await outbox.claim(connection, 48, datetime.now(UTC), 20, SendingLimits(room={}, default_room=48))
    await slow_down(engine, "UPDATE OF state ON deliveries")
    recorder = Recorder(engine, "http://localhost")
    assert await asyncio.gather(*(recorder.record(succeeded(each)) for each in claimed)) == [True] * 48
    assert await states(engine) == ["succeeded"] * 48


@pytest.mark.parametrize("fault", ["unreadable", "unleasable", "immovable", "unrecordable"])
async def test_a_delivery_that_fails_by_itself_stops_no_other(engine: AsyncEngine, fault: str) -> None:
    """Python has no year 20000; of the other three Postgres refuses a lease, any change, or an attempt."""
    async with receiver() as crm:
        await add_48(engine, crm.url)
        bad = (await query(engine, "SELECT id FROM deliveries ORDER BY due_at OFFSET 20 LIMIT 1"))[0].id
        refused = {
            "unleasable": ("id", "UPDATE OF lease ON deliveries", "NEW.lease IS NOT NULL"),
            "immovable": ("id", "UPDATE ON deliveries", "true"),
            "unrecordable": ("delivery_id", "INSERT ON delivery_attempts", "true"),
        }
        if fault in refused:
            column, what, condition = refused[fault]
            does = f"IF NEW.{column} = '{bad}' AND {condition} THEN RAISE EXCEPTION 'no luck'; END IF"
            await on_write(engine, what, does)
        else:
            await query(engine, "UPDATE deliveries SET created_at = '20000-01-01' WHERE id = :bad RETURNING 1", bad=bad)
        doing = "recording" if fault == "unrecordable" else "claiming"
        counted = DELIVERIES_SET_ASIDE.labels(doing)
        before = counted._value.get()
        async with working(engine, local_settings(webhook_timeout_seconds=1), lease_seconds=3.0):
            async with asyncio.timeout(20):
                while (await states(engine)).count("succeeded") < 47 or counted._value.get() == before:
                    await asyncio.sleep(0.05)
            await asyncio.sleep(3.5)  # until leases that were left have ended
        assert counted._value.get() == before + 1
    (row,) = await query(engine, "SELECT state FROM deliveries WHERE id = :bad", bad=bad)
    ends = {"unreadable": "failed", "unleasable": "failed", "immovable": "pending", "unrecordable": "succeeded"}
    assert row.state == ends[fault]
    assert len(crm.ids) == (48 if fault == "unrecordable" else 47), "nothing is sent twice"


async def test_where_no_delivery_can_be_claimed_the_process_says_so_and_ends(engine: AsyncEngine) -> None:
    await add_endpoint(engine, "http://127.0.0.1:9/hook")
    for number in range(MOST_IN_A_ROW + 1):
        await add_alert(engine, f"account-{number}")
    await on_write(engine, "UPDATE OF lease ON deliveries", "IF NEW.lease IS NOT NULL THEN RAISE 'no luck'; END IF")
    with pytest.raises(UnclaimableError):
        async with asyncio.timeout(30):
            await run(engine, local_settings(), asyncio.Event(), poll_seconds=0.01)
    assert (await states(engine)).count("pending") == 1


async def test_what_cannot_be_noted_of_an_endpoint_keeps_no_result_from_being_written(engine: AsyncEngine) -> None:
    async with receiver(answers(500, 204)) as crm:
        await add_endpoint(engine, crm.url)
        await add_alert(engine, "acme")
        await on_write(engine, "UPDATE OF failing_since ON webhook_endpoints", "RAISE EXCEPTION 'no luck'")
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: len(outcomes) >= 2)
    assert [each.recorded for each in outcomes] == [True, True]
    assert await states(engine) == ["succeeded"]
