"""The sweeper process: re-evaluates accounts whose score can change with the calendar, without any event."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from secrets import token_hex

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.sweep import census, churn_expectations, dead_letter_relay, forecaster, history_partitions, list_mender
from consumers.sweep.account_batches import AccountBatches
from consumers.sweep.rounds import AllAccounts, DueAccounts, reevaluation_batches, sweep_batches
from consumers.sweep.side_jobs import run_side_job
from service.alerts.digests import send_settled
from service.evaluation.policy import PolicyCache
from service.evaluation.sources import SourceWatch
from service.observability import metrics
from service.observability.probes import Pulse, serve_probes
from service.runtime.settings import Settings
from service.runtime.tasks import sleep_unless_stopped, until_all
from service.storage.accounts import scores
from service.storage.alerts import erased_episodes
from service.storage.database import clock_check
from service.storage.database.clock_check import OneClock
from service.storage.database.engine import create_engine
from service.storage.database.retry import retry_while_transient
from service.storage.ingest.standstill import standstills

log = structlog.get_logger(__name__)

BACKLOG_SECONDS = 15.0
"""Interval of counting the backlog and sending digests: counting a million takes longer than a batch."""


AT_ONCE = 2
"""Batches under way at once when behind: while Postgres reads or writes one, the accounts of another are evaluated."""
ROUND_SECONDS = 2.0
"""The longest that batches follow each other before the clock, sources and re-evaluations have their turn."""


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Sweep until `stop` is set, together with the side jobs; relay dead letters and forecast if configured."""
    engine = create_engine(settings, "sweep", by_key=True)
    clock = OneClock()
    pulse = Pulse("sweep", settings.watchdog_seconds + settings.sweep_interval_seconds)
    relay_pulses = [Pulse("relay", settings.watchdog_seconds)] if settings.dead_letter_topics else []
    forecast_pulses = [Pulse("forecast", settings.watchdog_seconds)] if settings.forecast_share else []
    try:
        async with serve_probes(settings, pulse, *relay_pulses, *forecast_pulses):
            await until_all(
                _sweep(engine, settings, clock, pulse, stop),
                history_partitions.run(engine, settings, clock, stop),
                census.run(engine, stop),
                churn_expectations.run(engine, clock, stop),
                list_mender.run(engine, clock, stop),
                *(dead_letter_relay.run(engine, settings, each, stop) for each in relay_pulses),
                *(forecaster.run(engine, settings, clock, each, stop) for each in forecast_pulses),
            )
    finally:
        await engine.dispose()


async def _sweep(engine: AsyncEngine, settings: Settings, clock: OneClock, pulse: Pulse, stop: asyncio.Event) -> None:
    """Sweep until `stop` is set. Several sweepers share the work: each skips accounts that another holds.

    While the clock is wrong, it only waits.
    """
    policies = PolicyCache(settings.retention_days, time.monotonic)
    sources = SourceWatch(engine, settings.base_url)
    waiting = pulse.beat
    due, reevaluation = sweep_batches(settings, waiting), reevaluation_batches(settings, waiting)
    counted_at = -BACKLOG_SECONDS
    while not stop.is_set():
        if trouble := await retry_while_transient(
            partial(clock_check.compare, engine, clock), clock_check.COMPARING, waiting
        ):
            pulse.beat(trouble)
            await sleep_unless_stopped(stop, settings.sweep_interval_seconds)
            continue
        # One moment for all three: no account is evaluated at a day before its sources have been checked.
        now = clock.now()
        structlog.contextvars.bind_contextvars(sweep_id=token_hex(4))
        await retry_while_transient(partial(sources.check, now), "checking sources", waiting)
        reevaluated = await retry_while_transient(
            partial(reevaluate_once, engine, policies, settings, now, reevaluation),
            "re-evaluating all accounts",
            waiting,
        )
        sweep = partial(sweep_once, engine, policies, settings, now, due)
        await sweep_round(partial(retry_while_transient, sweep, "sweeping", waiting), due, stop)
        if time.monotonic() - counted_at >= BACKLOG_SECONDS:
            await run_side_job(lambda: _count_backlog(engine, settings, clock.now()), "counting what is due")
            await run_side_job(lambda: forget_once(engine, clock.now()), "forgetting the ends of erased accounts")
            await run_side_job(lambda: send_digests_once(engine, settings, clock.now()), "telling digests")
            counted_at = time.monotonic()
        pulse.beat(remark=clock.remark)
        if not due.is_behind and not reevaluated:
            await sleep_unless_stopped(stop, settings.sweep_interval_seconds)


async def sweep_round(sweep: Callable[[], Awaitable[int]], batches: AccountBatches, stop: asyncio.Event) -> None:
    """Call `sweep`, which evaluates one of `batches`; if more is due, several at once until nothing is, for
    `ROUND_SECONDS` at most.
    """
    ends_at = time.monotonic() + ROUND_SECONDS

    async def catch_up() -> None:
        while batches.is_behind and not stop.is_set() and time.monotonic() < ends_at:
            await sweep()

    await sweep()
    if batches.is_behind:
        await until_all(*(catch_up() for _ in range(AT_ONCE)))


async def sweep_once(
    engine: AsyncEngine, policies: PolicyCache, settings: Settings, now: datetime, batches: AccountBatches | None = None
) -> int:
    """Evaluate accounts that are due by `now`, as many as get done; returns the number dealt with, at most
    `sweep_batch`.

    Calls that share `batches` share its size. An account that can't be evaluated is put off.
    """
    return await (batches or sweep_batches(settings)).next(engine, DueAccounts(policies, settings.base_url, now), now)


async def reevaluate_once(
    engine: AsyncEngine, policies: PolicyCache, settings: Settings, now: datetime, batches: AccountBatches | None = None
) -> int:
    """Re-evaluate the next accounts if scorecards or rules have changed; returns their number, like `sweep_once`."""
    return await (batches or reevaluation_batches(settings)).next(
        engine, AllAccounts(policies, settings.base_url, now), now
    )


async def send_digests_once(engine: AsyncEngine, settings: Settings, now: datetime) -> int:
    """Send the digests of backfills and dwells that have settled, in one transaction; returns their number."""
    async with engine.begin() as connection:
        return await send_settled(connection, now, settings.base_url)


async def forget_once(engine: AsyncEngine, now: datetime) -> int:
    """Delete the delivered final messages about erased accounts; returns their number."""
    async with engine.begin() as connection:
        return await erased_episodes.delete_finished(connection, now)


async def _count_backlog(engine: AsyncEngine, settings: Settings, now: datetime) -> None:
    async with engine.begin() as connection:
        backlog = await scores.backlog(connection, now)
        found = await standstills(connection, list(settings.topics.values()))
    for each in found:
        metrics.AWAY_PARTITIONS.labels(each.topic).set(each.away)
    metrics.SWEEP_BACKLOG.set(backlog.accounts)
    metrics.SWEEP_OLDEST_SECONDS.set(backlog.oldest)
