"""The sweeper: accounts whose score can change with the calendar are judged again, with no event at all."""

import asyncio
import time
from datetime import UTC, datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.events import Event
from service import metrics
from service.evaluation import advance_accounts
from service.policy import PolicyCache
from service.settings import Settings
from service.storage import scores
from service.storage.engine import create_engine
from service.storage.transient import persistently

log = structlog.get_logger(__name__)

BACKLOG_SECONDS = 15.0
"""How often the backlog is counted: counting a million takes longer than sweeping a batch of them."""


async def run(settings: Settings, stop: asyncio.Event) -> None:
    """Sweep until `stop` is set. Several sweepers share the work: each passes over what another holds."""
    engine = create_engine(settings, "sweep")
    policies = PolicyCache(settings.retention_days, time.monotonic)
    try:
        counted_at = -BACKLOG_SECONDS
        while not stop.is_set():
            swept = await persistently(lambda: sweep_once(engine, policies, settings, datetime.now(UTC)), "sweeping")
            if time.monotonic() - counted_at >= BACKLOG_SECONDS:
                await persistently(lambda: _count_backlog(engine, datetime.now(UTC)), "counting what is due")
                counted_at = time.monotonic()
            if swept < settings.sweep_batch:
                await _rest(stop, settings.sweep_interval_seconds)
    finally:
        await engine.dispose()


async def sweep_once(engine: AsyncEngine, policies: PolicyCache, settings: Settings, now: datetime) -> int:
    """Judge up to `sweep_batch` accounts that are due by `now`, in one transaction; returns how many there were."""
    async with engine.begin() as connection:
        policy = await policies.in_force(connection)
        due = await scores.claim_due(connection, now, settings.sweep_batch)
        if not due:
            return 0
        nothing: dict[str, list[Event]] = {account_id: [] for account_id in due}
        outcome = await advance_accounts(connection, nothing, policy, now, base_url=settings.base_url)
    metrics.SWEPT.inc(len(due))
    log.debug("swept", accounts=len(due), alerts=outcome.alerts)
    return len(due)


async def _count_backlog(engine: AsyncEngine, now: datetime) -> None:
    async with engine.begin() as connection:
        metrics.SWEEP_BACKLOG.set(await scores.backlog(connection, now))


async def _rest(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
