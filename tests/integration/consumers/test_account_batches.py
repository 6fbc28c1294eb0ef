"""Batches of accounts that fail: they come back smaller, and the account at fault harms itself alone."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.sweep.account_batches import MOST_IN_A_ROW, PUT_OFF, PUT_OFF_SLOW
from consumers.sweep.rounds import sweep_batches
from consumers.sweep.runner import reevaluate_once, sweep_once
from service.observability.metrics import PUT_OFF as COUNTED
from service.runtime.settings import Settings
from service.storage.database.retry import retry_while_transient
from tests.support.service import query
from tests.support.sweeping import START, Clock, by_active_days, used

pytestmark = pytest.mark.anyio

ACCOUNTS = [f"account-{number:03}" for number in range(64)]
BAD = "account-029"
TOMORROW = START + timedelta(days=1)
RAISES = "RAISE EXCEPTION 'no luck with %', NEW.account_id"
SLOW = "PERFORM pg_sleep(0.04)"
VERY_SLOW = "PERFORM pg_sleep(5)"


@pytest.fixture
async def clock(engine: AsyncEngine, database_settings: Settings) -> Clock:
    """Accounts of which all are due tomorrow, and a sweeper that would take all of them at once."""
    clock = Clock(engine, database_settings.model_copy(update={"sweep_batch": 64}))
    await clock.fold({each: [used(each, START)] for each in ACCOUNTS}, START)
    return clock


@pytest.fixture
async def hurried(engine: AsyncEngine) -> AsyncIterator[None]:
    """Postgres gives up what takes half a second."""

    def hurry(connection: object) -> None:
        connection.exec_driver_sql("SET LOCAL statement_timeout = 500")  # type: ignore[attr-defined]

    event.listen(engine.sync_engine, "begin", hurry)
    yield
    event.remove(engine.sync_engine, "begin", hurry)


async def spoil(engine: AsyncEngine, does: str, *, columns: str = "OF day", only: str | None = BAD) -> None:
    """Have Postgres do that when it writes a score, of one account or of all."""
    condition = f"WHEN (NEW.account_id = '{only}')" if only else ""
    async with engine.begin() as connection:
        await connection.execute(
            text(f"CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {does}; RETURN NEW; END $$")
        )
        await connection.execute(
            text(
                f"CREATE TRIGGER spoil BEFORE UPDATE {columns} ON scores FOR EACH ROW {condition} "
                "EXECUTE FUNCTION spoil()"
            )
        )


async def mend(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("DROP FUNCTION spoil() CASCADE"))


async def judged_at(engine: AsyncEngine, now: datetime) -> set[str]:
    rows = await query(engine, "SELECT account_id FROM scores WHERE evaluated_at = :now", now=now)
    return {row.account_id for row in rows}


async def due_at(engine: AsyncEngine) -> datetime:
    rows = await query(engine, "SELECT due_at FROM scores WHERE account_id = :bad", bad=BAD)
    moment: datetime = rows[0].due_at
    return moment


def counted(reason: str) -> float:
    return float(COUNTED.labels(reason)._value.get())


async def test_an_account_that_fails_is_put_off_alone_and_stays_due(
    clock: Clock, engine: AsyncEngine, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    before = counted("fails")
    await spoil(engine, RAISES)
    await clock.sweep(TOMORROW)
    assert await judged_at(engine, TOMORROW) == {*ACCOUNTS} - {BAD}
    assert await due_at(engine) == TOMORROW + PUT_OFF
    assert counted("fails") == before + 1
    told = capsys.readouterr().out + caplog.text
    assert "account_put_off" in told
    assert f"no luck with {BAD}" in told

    await mend(engine)
    assert await clock.sweep(TOMORROW + PUT_OFF) == 1
    assert await judged_at(engine, TOMORROW + PUT_OFF) == {BAD}


async def test_an_account_whose_row_cannot_be_written_at_all_is_passed_over(clock: Clock, engine: AsyncEngine) -> None:
    await spoil(engine, RAISES, columns="")
    batches = sweep_batches(clock.settings)
    while await sweep_once(engine, clock.policies, clock.settings, TOMORROW, batches):
        pass
    assert await judged_at(engine, TOMORROW) == {*ACCOUNTS} - {BAD}
    assert await due_at(engine) <= TOMORROW

    await mend(engine)
    assert await sweep_once(engine, clock.policies, clock.settings, TOMORROW + PUT_OFF, batches) == 1


async def test_a_re_evaluation_goes_on_behind_an_account_that_fails(clock: Clock, engine: AsyncEngine) -> None:
    await clock.publish(by_active_days(10), START)
    await spoil(engine, RAISES)
    await clock.reevaluate(START)
    versions = await query(engine, "SELECT account_id FROM scores WHERE scorecard_version <> 2")
    assert [row.account_id for row in versions] == [BAD]
    (row,) = await query(engine, "SELECT done, total, finished_at FROM reevaluations")
    assert (row.done, row.total, row.finished_at) == (64, 64, START)
    assert await due_at(engine) == START + PUT_OFF

    await mend(engine)
    assert await clock.sweep(START + PUT_OFF) == 1
    assert not await query(engine, "SELECT 1 FROM scores WHERE scorecard_version <> 2")


async def test_a_re_evaluation_goes_on_behind_an_account_whose_row_cannot_be_written(
    clock: Clock, engine: AsyncEngine
) -> None:
    await clock.publish(by_active_days(10), START)
    await spoil(engine, RAISES, columns="")
    await clock.reevaluate(START)
    versions = await query(engine, "SELECT account_id FROM scores WHERE scorecard_version <> 2")
    assert [row.account_id for row in versions] == [BAD]
    assert await due_at(engine) == TOMORROW.replace(hour=0)


@pytest.mark.usefixtures("hurried")
async def test_a_batch_that_takes_too_long_comes_back_smaller(clock: Clock, engine: AsyncEngine) -> None:
    """64 accounts take 2.5 seconds, and the limit is half a second."""
    await spoil(engine, SLOW, only=None)
    batches = sweep_batches(clock.settings)
    sizes = []
    while swept := await retry_while_transient(
        lambda: sweep_once(engine, clock.policies, clock.settings, TOMORROW, batches), "sweeping"
    ):
        sizes.append(swept)
    assert sum(sizes) == 64
    assert max(sizes) <= 12
    assert await judged_at(engine, TOMORROW) == {*ACCOUNTS}


@pytest.mark.usefixtures("hurried")
async def test_a_re_evaluation_that_takes_too_long_comes_back_smaller(clock: Clock, engine: AsyncEngine) -> None:
    await clock.publish(by_active_days(10), START)
    await spoil(engine, SLOW, only=None)
    while await reevaluate_once(engine, clock.policies, clock.settings, START):
        pass
    assert not await query(engine, "SELECT 1 FROM scores WHERE scorecard_version <> 2")


@pytest.mark.usefixtures("hurried")
async def test_an_account_that_takes_too_long_by_itself_is_put_off(clock: Clock, engine: AsyncEngine) -> None:
    await spoil(engine, VERY_SLOW)
    batches = sweep_batches(clock.settings)
    while await sweep_once(engine, clock.policies, clock.settings, TOMORROW, batches):
        pass
    assert await judged_at(engine, TOMORROW) == {*ACCOUNTS} - {BAD}
    assert await due_at(engine) == TOMORROW + PUT_OFF_SLOW


async def test_batches_grow_again(clock: Clock, engine: AsyncEngine) -> None:
    batches = sweep_batches(clock.settings)
    await spoil(engine, RAISES)
    while await sweep_once(engine, clock.policies, clock.settings, TOMORROW, batches):
        pass
    await mend(engine)
    later, sizes = TOMORROW + timedelta(days=1), []
    while swept := await sweep_once(engine, clock.policies, clock.settings, later, batches):
        sizes.append(swept)
    assert sum(sizes) == 64
    assert sizes[0] >= 8
    assert len(sizes) <= 4


async def test_where_every_account_fails_the_sweeper_says_so_and_ends(
    clock: Clock, engine: AsyncEngine, database_settings: Settings
) -> None:
    many = [f"more-{number:03}" for number in range(MOST_IN_A_ROW)]
    await clock.fold({each: [used(each, START)] for each in many}, START)
    await spoil(engine, RAISES, only=None)
    batches = sweep_batches(database_settings)

    async def sweep() -> None:
        while await sweep_once(engine, clock.policies, database_settings, TOMORROW, batches):
            pass

    with pytest.raises(DBAPIError, match="no luck with"):
        await sweep()
    put_off = await query(engine, "SELECT 1 FROM scores WHERE due_at = :until", until=TOMORROW + PUT_OFF)
    assert len(put_off) == MOST_IN_A_ROW
