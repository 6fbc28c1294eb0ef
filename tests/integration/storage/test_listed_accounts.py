"""The rows that lists are read from follow whatever changes what an account shows; nothing else writes them."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.sweep import list_mender
from consumers.sweep.list_mender import mend_once
from scoring.scorecards.document import ScorecardDocument
from scoring.state.calendar import day_of, to_micros
from scoring.state.events import Event, UsageEvent
from service.runtime.settings import Settings
from service.storage.accounts import accounts
from service.storage.database.clock_check import OneClock
from tests.support.api import Api
from tests.support.listed import listed_differences
from tests.support.service import query
from tests.support.sweeping import START, Clock, by_active_days

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
BY_VOLUME = msgspec.convert(
    {
        "name": "default",
        "measures": [{"measure": "usage_volume", "window": 30, "weight": 1, "curve": [[0, 0], [100_000, 100]]}],
        "bands": {"red": 0, "yellow": 40, "green": 70},
    },
    ScorecardDocument,
)
"""A scorecard by which a thousand uses are a point."""


@pytest.fixture
async def clock(engine: AsyncEngine, database_settings: Settings) -> AsyncIterator[Clock]:
    clock = Clock(engine, database_settings)
    await clock.publish(BY_VOLUME, START)
    yield clock
    assert await listed_differences(engine) == set()


def uses(account_id: str, at: Any, quantity: int) -> Event:
    micros = to_micros(at)
    return UsageEvent(account_id, micros, day_of(micros), day_of(micros), "login", 1, quantity)


async def listed(engine: AsyncEngine) -> Any:
    """The version of each row, by account, and what it says."""
    statement = "SELECT account_id, CAST(xmin AS text) AS written, score, band, changed_at FROM listed_accounts"
    return {row.account_id: row for row in await query(engine, statement)}


async def test_a_row_is_written_when_the_tenth_of_a_point_changes_and_not_before(
    engine: AsyncEngine, clock: Clock
) -> None:
    await clock.fold({"acme": [uses("acme", START, 30_010)]}, START)
    first = (await listed(engine))["acme"]
    assert (first.score, first.band, first.changed_at) == (30.01, "red", START)
    await clock.fold({"acme": [uses("acme", START + MINUTE, 80)]}, START + MINUTE)
    assert [tuple(row) for row in await query(engine, "SELECT score FROM scores")] == [(30.09,)]
    assert (await listed(engine))["acme"] == first
    later = START + 2 * MINUTE
    await clock.fold({"acme": [uses("acme", later, 10)]}, later)
    row = (await listed(engine))["acme"]
    assert (row.score, row.band, row.changed_at) == (30.1, "red", later)
    assert row.written != first.written


async def test_a_row_is_written_when_the_band_changes_alone(engine: AsyncEngine, clock: Clock) -> None:
    await clock.fold({"acme": [uses("acme", START, 39_999)]}, START)
    bands = {"red": 0, "yellow": 39.99, "green": 70}
    await clock.publish(msgspec.structs.replace(BY_VOLUME, bands=bands), START + MINUTE)
    await clock.reevaluate(START + MINUTE)
    row = (await listed(engine))["acme"]
    assert (row.score, row.band, row.changed_at) == (39.999, "yellow", START + MINUTE)


async def test_every_way_to_change_what_an_account_shows_is_followed(
    engine: AsyncEngine, clock: Clock, api: Api
) -> None:
    """Folding new and known accounts, attributes, overrides and their ends, the calendar, new scorecards, erasing."""
    later = START + timedelta(days=40)
    api.clock.now = START
    await clock.fold({name: [uses(name, START, 1_000 * number)] for number, name in enumerate("abcdef", 30)}, START)
    assert (await api.put("/v1/accounts/a", {"segment": "smb", "stage": "live", "owner": "ann"})).status == 200
    assert (await api.put("/v1/accounts/new", {"segment": "smb"})).status == 200
    assert await listed_differences(engine) == set()
    hand = {"score": 90, "reason": "r", "author": "ann", "expires_at": (START + timedelta(days=1)).isoformat()}
    assert (await api.put("/v1/accounts/a/health/override", hand)).status == 200
    assert (await api.put("/v1/accounts/b/health/override", hand)).status == 200
    assert (await api.delete("/v1/accounts/b/health/override")).status in (200, 204)
    assert await listed_differences(engine) == set()
    await clock.sweep(START + timedelta(days=2))
    assert await listed_differences(engine) == set()
    await clock.sweep(later)
    assert {row.score for row in (await listed(engine)).values()} == {0.0, None}
    assert await listed_differences(engine) == set()
    await clock.publish(by_active_days(1), later)
    await clock.fold({"c": [uses("c", later, 1)]}, later)
    await clock.reevaluate(later)
    assert (await listed(engine))["c"].score == 100
    assert await listed_differences(engine) == set()
    api.clock.now = later
    assert (await api.delete("/v1/accounts/d")).status == 204
    assert "d" not in await listed(engine)


async def test_rows_that_differ_are_mended_and_others_left_alone(engine: AsyncEngine, clock: Clock) -> None:
    """As the version before leaves them behind: scores, attributes, accounts that came and that were erased."""
    names = list("abcdefg")
    await clock.fold({name: [uses(name, START, 30_010)] for name in names}, START)
    before = await listed(engine)
    for statement in (
        "UPDATE scores SET score = 12.5 WHERE account_id = 'a'",
        "UPDATE scores SET band = 'green' WHERE account_id = 'b'",
        "UPDATE accounts SET owner = 'ann' WHERE account_id = 'c'",
        "DELETE FROM listed_accounts WHERE account_id = 'd'",
        "DELETE FROM scores WHERE account_id = 'e'",
        "DELETE FROM accounts WHERE account_id = 'e'",
        "UPDATE scores SET score = 30.09 WHERE account_id = 'f'",
    ):
        await query(engine, statement + " RETURNING 1")
    assert await listed_differences(engine) != set()
    later = START + timedelta(hours=1)
    assert await mend_once(engine, later) == 5
    assert await listed_differences(engine) == set()
    after = await listed(engine)
    assert {name: after[name].changed_at for name in after} == {
        **dict.fromkeys("abd", later), **dict.fromkeys("cfg", START)
    }  # fmt: skip
    assert [after[name] for name in "fg"] == [before[name] for name in "fg"]
    assert await mend_once(engine, later) == 0


async def test_a_sweeper_mends_as_soon_as_it_starts(engine: AsyncEngine, clock: Clock) -> None:
    await clock.fold({"acme": [uses("acme", START, 30_010)]}, START)
    await query(engine, "UPDATE scores SET score = 12.5 RETURNING 1")
    stop = asyncio.Event()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(list_mender.run(engine, OneClock(), stop))
        while await listed_differences(engine):
            await asyncio.sleep(0.05)
        stop.set()


async def test_mending_waits_for_nobody(engine: AsyncEngine, clock: Clock) -> None:
    """An account that is being folded is left to its fold, or to the next time."""
    await clock.fold({name: [uses(name, START, 30_010)] for name in "ab"}, START)
    await query(engine, "UPDATE scores SET score = 12.5 RETURNING 1")
    async with engine.begin() as connection:
        await accounts.lock(connection, "a")
        assert await asyncio.wait_for(mend_once(engine, START), 10) == 1
    assert [row.score for _, row in sorted((await listed(engine)).items())] == [30.01, 12.5]
    assert await mend_once(engine, START) == 1
