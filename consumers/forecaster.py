"""The forecaster: what silence would do, account by account, so that what it will set off can be listed at once."""

import asyncio
import time
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from scoring.policy import Policy
from scoring.windows import to_micros
from service import clocks, metrics
from service.clocks import OneClock
from service.forecasting import foresee
from service.policy import PolicyCache
from service.probes import Pulse
from service.resting import rest
from service.settings import Settings
from service.storage import forecasts
from service.storage.forecasts import Turn
from service.storage.transient import persistently

BATCH = 200
"""Accounts in one transaction: some tenths of a second."""
SHORTEST_CYCLE = 60.0
"""Seconds from the beginning of one cycle through all accounts to that of the next."""
IDLE_SECONDS = 1.0
"""How often it is looked whether the cycle is to go on."""


async def run(engine: AsyncEngine, settings: Settings, clock: OneClock, pulse: Pulse, stop: asyncio.Event) -> None:
    """Forecast until `stop` is set, at most the share of the time that is set.

    However many forecasters there are, one of them works at a time, and they keep to that share together.
    """
    policies = PolicyCache(settings.retention_days, time.monotonic)
    waiting = pulse.beat
    while not stop.is_set():
        if trouble := await persistently(partial(clocks.compare, engine, clock), clocks.COMPARING, waiting):
            pulse.beat(trouble)
            await rest(stop, IDLE_SECONDS)
            continue
        pause = await persistently(
            lambda: forecast_once(engine, policies, settings, clock.now()), "forecasting", waiting
        )
        pulse.beat()
        await rest(stop, min(pause, IDLE_SECONDS))


async def forecast_once(engine: AsyncEngine, policies: PolicyCache, settings: Settings, now: datetime) -> float:
    """Forecast the next accounts, in one transaction; returns for how many seconds to rest then."""
    started = time.monotonic()
    async with engine.begin() as connection:
        turn = await forecasts.take(connection, now)
        if turn is None:
            return IDLE_SECONDS
        began_at = turn.began_at if turn.cursor else now
        account_ids = await _forecast(connection, turn.cursor, await policies.recent(connection), settings, now)
        cursor = account_ids[-1] if len(account_ids) == BATCH else ""
        worked = time.monotonic() - started
        pause = worked / settings.forecast_share - worked
        if not cursor:
            pause = max(pause, SHORTEST_CYCLE - (now - began_at).total_seconds())
        await forecasts.move_on(connection, Turn(cursor, began_at), now + timedelta(seconds=worked + pause))
    metrics.FORECAST.inc(len(account_ids))
    if not cursor:
        metrics.FORECAST_CYCLE_SECONDS.set((now - began_at).total_seconds() + worked)
    return pause


async def _forecast(
    connection: AsyncConnection, cursor: str, policy: Policy, settings: Settings, now: datetime
) -> list[str]:
    """Forecast the accounts that follow `cursor`; without rules there is nothing to forecast."""
    if not policy.rules:
        await forecasts.clear(connection)
        return []
    account_ids = await forecasts.following(connection, cursor, BATCH)
    rows = await foresee(connection, account_ids, policy, to_micros(now), settings.forecast_days)
    await forecasts.replace(connection, account_ids, rows, now)
    return account_ids
