"""The forecaster: computes, account by account, the effect of silence, so that upcoming crossings can be listed
quickly.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from consumers.sweep.account_batches import AccountBatches, BatchAttempt
from consumers.sweep.side_jobs import run_side_job
from scoring.state.calendar import to_micros
from service.evaluation.forecast import forecast_accounts
from service.evaluation.policy import PolicyCache
from service.observability import metrics
from service.observability.probes import Pulse
from service.runtime.settings import Settings
from service.runtime.tasks import sleep_unless_stopped
from service.storage.accounts import forecasts
from service.storage.accounts.forecasts import ForecastCycle
from service.storage.database import clock_check
from service.storage.database.clock_check import OneClock
from service.storage.database.retry import retry_while_transient

BATCH = 200
"""The most accounts in one transaction: some tenths of a second."""
SHORTEST_CYCLE = 60.0
"""Seconds from the start of one cycle through all accounts to the start of the next."""
IDLE_SECONDS = 1.0
"""Interval of checks whether the cycle should continue."""
AGAIN_SECONDS = 60.0
"""Delay after a failure that waiting for Postgres doesn't resolve."""
FAILS = "forecasting fails; see the log"


async def run(engine: AsyncEngine, settings: Settings, clock: OneClock, pulse: Pulse, stop: asyncio.Event) -> None:
    """Forecast until `stop` is set, for at most the configured share of the time; no failure ends it.

    However many forecasters there are, one works at a time, and they share the limit.
    """
    policies = PolicyCache(settings.retention_days, time.monotonic)
    forecaster = Forecaster(policies, settings, pulse.beat)
    while not stop.is_set():
        pause = await run_side_job(partial(_turn, engine, forecaster, clock, pulse), "forecasting")
        if pause is None:
            pulse.beat(FAILS)
        await sleep_unless_stopped(stop, AGAIN_SECONDS if pause is None else min(pause, IDLE_SECONDS))


async def _turn(engine: AsyncEngine, forecaster: "Forecaster", clock: OneClock, pulse: Pulse) -> float:
    """Forecast some accounts, unless the clock is wrong; returns the seconds to pause afterwards."""
    waiting = pulse.beat
    if trouble := await retry_while_transient(
        partial(clock_check.compare, engine, clock), clock_check.COMPARING, waiting
    ):
        pulse.beat(trouble)
        return IDLE_SECONDS
    pause = await retry_while_transient(lambda: forecaster.next(engine, clock.now()), "forecasting", waiting)
    pulse.beat()
    return pause


class Forecaster:
    """The steps of one process through all accounts: their size, and the accounts that are skipped."""

    def __init__(
        self, policies: PolicyCache, settings: Settings, waiting: Callable[[str], None] = lambda _: None
    ) -> None:
        """`waiting` is called with the reason before each retry."""
        self._policies = policies
        self._settings = settings
        self._batches = AccountBatches("forecasting", BATCH, metrics.FORECAST, waiting)
        self._skipped: dict[str, datetime] = {}

    async def next(self, engine: AsyncEngine, now: datetime) -> float:
        """Forecast the next accounts in one transaction; returns the seconds to pause afterwards.

        An account that can't be forecast is skipped for a while. Raises errors that need waiting, and errors that would
        affect all accounts alike.
        """
        self._skipped = {account_id: until for account_id, until in self._skipped.items() if until > now}
        step = _Step(self._policies, self._settings, now, self._skipped)
        await self._batches.next(engine, step, now)
        if step.cycle_seconds is not None:
            metrics.FORECAST_CYCLE_SECONDS.set(step.cycle_seconds)
        return step.pause


async def forecast_once(engine: AsyncEngine, policies: PolicyCache, settings: Settings, now: datetime) -> float:
    """Forecast the next accounts, like a newly started process; returns the seconds to pause afterwards."""
    return await Forecaster(policies, settings).next(engine, now)


@dataclass(slots=True)
class _Step:
    """The next accounts in the cycle, except those in `skipped`."""

    policies: PolicyCache
    settings: Settings
    now: datetime
    skipped: dict[str, datetime]
    pause: float = field(default=0.0, init=False)
    cycle_seconds: float | None = field(default=None, init=False)

    async def evaluate(self, connection: AsyncConnection, attempt: BatchAttempt) -> int:
        """Forecast them, and store how far the cycle has come."""
        started = time.monotonic()
        turn = await forecasts.lock_cycle(connection, self.now)
        if turn is None:
            self.pause = IDLE_SECONDS
            return 0
        began_at = turn.began_at if turn.cursor else self.now
        following = await self._forecast(connection, turn.cursor, attempt)
        cursor = following[-1] if len(following) == attempt.limit else ""
        worked = time.monotonic() - started
        pause = worked / self.settings.forecast_share - worked
        if not cursor:
            pause = max(pause, SHORTEST_CYCLE - (self.now - began_at).total_seconds())
            self.cycle_seconds = (self.now - began_at).total_seconds() + worked
        await forecasts.save_cycle(
            connection, ForecastCycle(cursor, began_at), self.now + timedelta(seconds=worked + pause)
        )
        self.pause = pause
        return len(attempt.claimed)

    async def _forecast(self, connection: AsyncConnection, cursor: str, attempt: BatchAttempt) -> list[str]:
        """Forecast and return the accounts after `cursor`; without rules there is nothing to forecast."""
        policy = await self.policies.recent(connection)
        if not policy.rules:
            await forecasts.clear(connection)
            return []
        following = await forecasts.next_accounts(connection, cursor, attempt.limit)
        passed_over = {*self.skipped, *attempt.without}
        attempt.claimed += [account_id for account_id in following if account_id not in passed_over]
        rows = await forecast_accounts(
            connection, attempt.claimed, policy, to_micros(self.now), self.settings.forecast_days
        )
        await forecasts.replace(connection, attempt.claimed, rows, self.now)
        return following

    async def put_off(self, connection: AsyncConnection, account_id: str, until: datetime) -> bool:
        """Drop the account's forecasts, which may be out of date, and skip it."""
        await forecasts.replace(connection, [account_id], [], self.now)
        self.skipped[account_id] = until
        return True

    async def skip(self, connection: AsyncConnection, account_id: str) -> None:
        """Do nothing: the account is skipped."""
