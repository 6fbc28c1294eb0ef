"""The demo's past: also where an earlier run of another day was stopped before it was written, and written once."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.state.calendar import to_micros
from scoring.state.events import Event
from service.demo.feed import past
from service.demo.feed.past import DemoPast
from service.demo.start import RunningService
from service.demo.world.customers import make_customers
from service.demo.world.history import HISTORY_DAYS, happened, introductions
from service.messaging.cloudevents import decode_structured
from service.runtime.errors import HealthError
from service.runtime.settings import Settings
from tests.support.service import query
from tests.support.sweeping import Clock

pytestmark = pytest.mark.anyio
CUSTOMERS, SEED = 20, 7


async def began(clock: Clock, at: datetime) -> list[Any]:
    """A demo that began at `at`: its events are folded. Returns those."""
    customers = make_customers(CUSTOMERS, SEED, at.date())
    since = at - timedelta(days=HISTORY_DAYS)
    events = [*introductions(customers, since), *happened(customers, SEED, at.date(), since, at)]
    taken: defaultdict[str, list[Event]] = defaultdict(list)
    for event in events:
        decoded = decode_structured(event.signal, event.encode(backfill=True), to_micros(at)).event
        taken[event.account_id].append(decoded)
    await clock.fold(taken, at, backfill=taken.keys())
    return events


async def write(running: RunningService, events: list[Any]) -> list[str]:
    """Write the past of these events; returns what was shown."""
    told: list[str] = []
    async with DemoPast.replaying(running, events) as replay:
        await replay.write(lambda _, words: told.append(words))
    return told


async def test_it_ends_where_live_history_begins_and_is_written_once(
    engine: AsyncEngine, database_settings: Settings
) -> None:
    at = datetime.now(UTC) - timedelta(days=2)
    events = await began(Clock(engine, database_settings), at)
    running = cast(RunningService, SimpleNamespace(engine=engine, settings=database_settings))
    told = await write(running, events)
    assert told[-1] == f"{CUSTOMERS} customers"
    rows = await query(engine, "SELECT * FROM history WHERE replayed ORDER BY account_id, day")
    ends = {row.account_id: row.day for row in rows}
    assert len(ends) == CUSTOMERS
    assert set(ends.values()) == {at.date() - timedelta(days=1)}
    assert (await write(running, events))[-1] == "0 customers"
    assert await query(engine, "SELECT * FROM history WHERE replayed ORDER BY account_id, day") == rows


async def test_a_process_that_fails_says_why(
    engine: AsyncEngine, database_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = await began(Clock(engine, database_settings), datetime.now(UTC))
    monkeypatch.setattr(past, "_PROGRAM", (*past._PROGRAM[:2], "-c", "raise SystemExit('no memory')"))
    running = cast(RunningService, SimpleNamespace(engine=engine, settings=database_settings))
    with pytest.raises(HealthError, match="The scores of the past couldn't be replayed: no memory"):
        await write(running, events)
