"""Jobs beside the sweep: what takes too long comes back smaller, and what fails harms itself alone."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.sweep import forecaster, runner
from consumers.sweep.account_batches import PUT_OFF
from consumers.sweep.forecaster import Forecaster
from service.observability.metrics import PUT_OFF as COUNTED
from service.observability.metrics import SIDE_JOB_FAILURES
from service.observability.probes import Pulse
from service.runtime.settings import Settings
from service.storage.database.clock_check import OneClock
from service.storage.database.retry import retry_while_transient
from tests.support.service import eventually, query
from tests.support.sweeping import START, Clock, by_active_days, used

pytestmark = pytest.mark.anyio

ACCOUNTS = [f"account-{number:02}" for number in range(48)]
BAD = "account-29"
SLOW = "PERFORM pg_sleep(0.04)"
RAISES = "RAISE EXCEPTION 'no luck'"


@pytest.fixture
async def hurried(engine: AsyncEngine) -> AsyncIterator[None]:
    """Postgres gives up what takes half a second."""

    def hurry(connection: object) -> None:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 500")  # type: ignore[attr-defined]

    event.listen(engine.sync_engine, "begin", hurry)
    yield
    event.remove(engine.sync_engine, "begin", hurry)


@pytest.fixture
async def clock(engine: AsyncEngine, database_settings: Settings) -> Clock:
    """Accounts of which each will fall below a rule's level if it stays silent."""
    clock = Clock(engine, database_settings.model_copy(update={"forecast_share": 1.0}))
    await clock.publish(by_active_days(3), START)
    await clock.reevaluate(START)
    await clock.add_rule("At risk", "score", direction="below", level=40.0)
    days = [START - timedelta(days=number) for number in range(3)]
    await clock.fold({each: [used(each, day) for day in days] for each in ACCOUNTS}, START)
    return clock


async def spoil(engine: AsyncEngine, does: str, when: str) -> None:
    """Have Postgres do that when a row is written."""
    async with engine.begin() as connection:
        await connection.execute(
            text(f"CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {does}; RETURN NEW; END $$")
        )
        await connection.execute(text(f"CREATE TRIGGER spoil BEFORE {when} FOR EACH ROW EXECUTE FUNCTION spoil()"))


async def garble(engine: AsyncEngine) -> bytes:
    """Make the stored state of one account unreadable; returns the original."""
    (row,) = await query(engine, "SELECT state FROM usage_states WHERE account_id = :bad", bad=BAD)
    await put_back(engine, b"\xc1garbled")
    was: bytes = row.state
    return was


async def put_back(engine: AsyncEngine, state: bytes) -> None:
    await query(
        engine, "UPDATE usage_states SET state = :state WHERE account_id = :bad RETURNING 1", bad=BAD, state=state
    )


async def cycle(engine: AsyncEngine, forecasting: Forecaster, later: timedelta = timedelta()) -> None:
    """Forecast all accounts, once."""
    while True:
        await query(engine, "UPDATE forecast_cycle SET due_at = '-infinity' RETURNING id")
        await retry_while_transient(lambda: forecasting.next(engine, START + later), "forecasting")
        if not (await query(engine, "SELECT cursor FROM forecast_cycle"))[0].cursor:
            return


async def foreseen(engine: AsyncEngine) -> set[str]:
    return {row.account_id for row in await query(engine, "SELECT account_id FROM forecast_crossings")}


@pytest.mark.usefixtures("hurried")
async def test_forecasts_that_take_too_long_come_back_smaller(clock: Clock, engine: AsyncEngine) -> None:
    """All 48 at once take two seconds."""
    await spoil(engine, SLOW, "INSERT ON forecast_crossings")
    async with asyncio.timeout(20):
        await cycle(engine, Forecaster(clock.policies, clock.settings))
    assert await foreseen(engine) == {*ACCOUNTS}


async def test_an_account_that_cannot_be_forecast_is_passed_over(clock: Clock, engine: AsyncEngine) -> None:
    forecasting = Forecaster(clock.policies, clock.settings)
    await cycle(engine, forecasting)
    assert await foreseen(engine) == {*ACCOUNTS}

    state, before = await garble(engine), COUNTED.labels("fails")._value.get()
    await cycle(engine, forecasting, timedelta(minutes=2))
    assert await foreseen(engine) == {*ACCOUNTS} - {BAD}
    assert COUNTED.labels("fails")._value.get() == before + 1
    await cycle(engine, forecasting, timedelta(minutes=4))
    assert COUNTED.labels("fails")._value.get() == before + 1, "it is tried again after an hour only"

    await put_back(engine, state)
    await cycle(engine, forecasting, timedelta(minutes=2) + PUT_OFF)
    assert await foreseen(engine) == {*ACCOUNTS}


async def test_an_account_whose_forecast_cannot_be_written_is_passed_over(clock: Clock, engine: AsyncEngine) -> None:
    await spoil(engine, f"IF NEW.account_id = '{BAD}' THEN {RAISES}; END IF", "INSERT OR UPDATE ON forecast_crossings")
    await cycle(engine, Forecaster(clock.policies, clock.settings))
    assert await foreseen(engine) == {*ACCOUNTS} - {BAD}


async def test_where_no_account_can_be_forecast_the_sweep_goes_on(clock: Clock, engine: AsyncEngine) -> None:
    await spoil(engine, RAISES, "UPDATE ON forecast_cycle")
    before = SIDE_JOB_FAILURES.labels("forecasting")._value.get()
    stop, pulse = asyncio.Event(), Pulse("forecast", 60)
    running = asyncio.create_task(forecaster.run(engine, clock.settings, OneClock(), pulse, stop))

    async def is_said() -> bool:
        return pulse.ready() == forecaster.FAILS

    await eventually(is_said, "the failure is said")
    stop.set()
    await running
    assert SIDE_JOB_FAILURES.labels("forecasting")._value.get() > before


async def test_digests_and_sources_that_fail_stop_no_sweep(clock: Clock, engine: AsyncEngine) -> None:
    """A digest that can't be closed, and an outage of a year that Python doesn't have."""
    await query(
        engine,
        "INSERT INTO digests (id, cause, subject, opened_at, touched_at)"
        " VALUES (gen_random_uuid(), 'dwell', '', '2026-01-01', '2026-01-01') RETURNING 1",
    )
    await spoil(engine, RAISES, "UPDATE ON digests")
    await query(
        engine,
        "INSERT INTO source_outages (id, source, began_on, noticed_at)"
        " VALUES (gen_random_uuid(), 'crm', '20000-01-01', now()) RETURNING 1",
    )
    failures = SIDE_JOB_FAILURES.labels("telling digests")
    before = failures._value.get()
    settings = clock.settings.model_copy(update={"forecast_share": 0.0, "sweep_interval_seconds": 0.1})
    stop = asyncio.Event()
    running = asyncio.create_task(runner.run(settings, stop))

    async def all_judged_again() -> bool:
        return running.done() or not await query(
            engine, "SELECT 1 FROM scores WHERE evaluated_at < now() - interval '1 day'"
        )

    async def has_failed() -> bool:
        return running.done() or failures._value.get() > before

    await eventually(has_failed, "a digest fails")
    await query(engine, "UPDATE scores SET evaluated_at = '2026-03-02', due_at = '2026-03-02' RETURNING 1")
    await eventually(all_judged_again, "the sweep goes on")
    assert not running.done()
    stop.set()
    await running
