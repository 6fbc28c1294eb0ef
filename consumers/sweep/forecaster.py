"""The forecaster: what silence would do, account by account, so that what it will set off can be listed at once."""

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
"""Accounts in one transaction, at most: some tenths of a second."""
SHORTEST_CYCLE = 60.0
"""Seconds from the beginning of one cycle through all accounts to that of the next."""
IDLE_SECONDS = 1.0
"""How often it is looked whether the cycle is to go on."""
AGAIN_SECONDS = 60.0
"""The wait after a failure that waiting for Postgres doesn't mend."""
FAILS = "forecasting fails; see the log"


async def run(engine: AsyncEngine, settings: Settings, clock: OneClock, pulse: Pulse, stop: asyncio.Event) -> None:
    """Forecast until `stop` is set, at most the share of the time that is set; a failure ends nothing.

    However many forecasters there are, one of them works at a time, and they keep to that share together.
    """
    policies = PolicyCache(settings.retention_days, time.monotonic)
    forecaster = Forecaster(policies, settings, pulse.beat)
    while not stop.is_set():
        pause = await run_side_job(partial(_turn, engine, forecaster, clock, pulse), "forecasting")
        if pause is None:
            pulse.beat(FAILS)
        await sleep_unless_stopped(stop, AGAIN_SECONDS if pause is None else min(pause, IDLE_SECONDS))


async def _turn(engine: AsyncEngine, forecaster: "Forecaster", clock: OneClock, pulse: Pulse) -> float:
    """Forecast some accounts, unless the clock is wrong; returns for how many seconds to rest then."""
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
    """One process's steps through all accounts: how large they may be, and whom they go on without."""

    def __init__(
        self, policies: PolicyCache, settings: Settings, waiting: Callable[[str], None] = lambda _: None
    ) -> None:
        """`waiting` is told why a step is tried again."""
        self._policies = policies
        self._settings = settings
        self._batches = AccountBatches("forecasting", BATCH, metrics.FORECAST, waiting)
        self._left: dict[str, datetime] = {}

    async def next(self, engine: AsyncEngine, now: datetime) -> float:
        """Forecast the next accounts, in one transaction; returns for how many seconds to rest then.

        An account that can't be forecast is passed over for a while. Raises what has to be waited for, and what would
        fail for all accounts alike.
        """
        self._left = {account_id: until for account_id, until in self._left.items() if until > now}
        step = _Step(self._policies, self._settings, now, self._left)
        await self._batches.next(engine, step, now)
        if step.cycle_seconds is not None:
            metrics.FORECAST_CYCLE_SECONDS.set(step.cycle_seconds)
        return step.pause


async def forecast_once(engine: AsyncEngine, policies: PolicyCache, settings: Settings, now: datetime) -> float:
    """Forecast the next accounts, as one who has just been started; returns for how many seconds to rest then."""
    return await Forecaster(policies, settings).next(engine, now)


@dataclass(slots=True)
class _Step:
    """The accounts that follow in the cycle, but for those `left` out."""

    policies: PolicyCache
    settings: Settings
    now: datetime
    left: dict[str, datetime]
    pause: float = field(default=0.0, init=False)
    cycle_seconds: float | None = field(default=None, init=False)

    async def judge(self, connection: AsyncConnection, attempt: BatchAttempt) -> int:
        """Forecast them, and note how far the cycle has come."""
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
        """Forecast the accounts that follow `cursor`, and give them; without rules there is nothing to forecast."""
        policy = await self.policies.recent(connection)
        if not policy.rules:
            await forecasts.clear(connection)
            return []
        following = await forecasts.next_accounts(connection, cursor, attempt.limit)
        passed_over = {*self.left, *attempt.without}
        attempt.claimed += [account_id for account_id in following if account_id not in passed_over]
        rows = await forecast_accounts(
            connection, attempt.claimed, policy, to_micros(self.now), self.settings.forecast_days
        )
        await forecasts.replace(connection, attempt.claimed, rows, self.now)
        return following

    async def put_off(self, connection: AsyncConnection, account_id: str, until: datetime) -> bool:
        """Drop what was foreseen of it, which may be true no more, and pass it over."""
        await forecasts.replace(connection, [account_id], [], self.now)
        self.left[account_id] = until
        return True

    async def leave(self, connection: AsyncConnection, account_id: str) -> None:
        """Nothing: it is passed over."""
