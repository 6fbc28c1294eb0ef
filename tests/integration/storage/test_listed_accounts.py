"""The rows that lists are read from follow whatever changes what an account shows; nothing else writes them."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.scorecards.document import ScorecardDocument
from scoring.state.calendar import day_of, to_micros
from scoring.state.events import Event, UsageEvent
from service.runtime.settings import Settings
from tests.support.listed import listed_differences
from tests.support.service import query
from tests.support.sweeping import START, Clock

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
