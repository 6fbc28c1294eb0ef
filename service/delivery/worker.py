"""The delivery process: starts attempts at due deliveries, until it is stopped."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import structlog
from aiohttp.abc import AbstractResolver
from sqlalchemy.ext.asyncio import AsyncEngine

from service.delivery.attempt import AttemptOutcome, AttemptRunner
from service.delivery.claimer import Claimer
from service.delivery.concurrency import Slots
from service.delivery.gauges import refresh_gauges, show_breakers
from service.delivery.recorder import Recorder
from service.delivery.retry import STANDARD, GaveUp, RetryAt, RetryDecision, RetryPolicy, Succeeded
from service.delivery.transport.dns import Resolver
from service.delivery.transport.http import open_session
from service.delivery.transport.oauth_tokens import TokenCache
from service.messaging.publisher import Publisher
from service.observability.metrics import (
    DELIVERY_ATTEMPTS,
    DELIVERY_LATENCY_SECONDS,
    DELIVERY_LIMITED,
    DELIVERY_SECONDS,
)
from service.observability.probes import Pulse, serve_probes
from service.runtime.settings import Settings
from service.runtime.tasks import until_first
from service.runtime.vault import Vault
from service.storage.database import clock_check
from service.storage.database.clock_check import OneClock
from service.storage.database.engine import create_engine
from service.storage.database.lock_watch import watch_locks
from service.storage.database.retry import is_transient
from service.storage.webhooks import outbox
from service.storage.webhooks.outbox import ClaimedDelivery

log = structlog.get_logger(__name__)

LEASE_MARGIN_SECONDS = 30.0  # beyond the longest attempt, to record it in
MOST_RESOLVER_THREADS = 64
REFRESH_SECONDS = 5.0
"""Seconds between refreshes of endpoint states and gauges."""
MOST_TO_RECORD = 500
"""Attempts that have ended but are not recorded yet; above this number no new ones are started."""


def _ignore(_: AttemptOutcome) -> None:
    """No observer."""


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Deliver until `stop` is set, as a separate process with metrics and probes."""
    engine = create_engine(settings, "deliver", custom_plans=True)
    pulse = Pulse("deliver", settings.watchdog_seconds)
    try:
        async with serve_probes(settings, pulse):
            # A wrong clock does not stop delivery, which writes no days; but receivers refuse such signatures.
            await until_first(
                run(engine, settings, stop, observe=_measure, pulse=pulse),
                clock_check.keep_comparing(engine, OneClock()),
            )
    finally:
        await engine.dispose()


def _measure(result: AttemptOutcome) -> None:
    if isinstance(result.outcome, Succeeded):
        waited = (datetime.now(UTC) - result.delivery.created_at).total_seconds()
        DELIVERY_LATENCY_SECONDS.labels(result.delivery.target).observe(max(waited, 0.0))
    DELIVERY_ATTEMPTS.labels(result.delivery.target, result.label).inc()
    if result.limited:
        DELIVERY_LIMITED.labels(result.delivery.target).inc()
    DELIVERY_SECONDS.labels(result.delivery.target).observe(result.duration_seconds)


async def run(
    engine: AsyncEngine,
    settings: Settings,
    stop: asyncio.Event,
    *,
    observe: Callable[[AttemptOutcome], None] = _ignore,
    policy: RetryPolicy = STANDARD,
    resolver: AbstractResolver | None = None,
    poll_seconds: float = 0.2,
    lease_seconds: float | None = None,
    pulse: Pulse | None = None,
) -> None:
    """Deliver until `stop` is set, then let attempts under way end, which takes the webhook timeout at most.

    Any number of processes may run this on one database. Waits while the database is unavailable; raises any other
    database failure.
    """
    resolver = resolver or Resolver(min(settings.webhook_concurrency, MOST_RESOLVER_THREADS))
    vault = Vault(settings.encryption_key)
    publisher = Publisher(settings)
    locks = asyncio.create_task(watch_locks(engine))
    try:
        async with open_session(settings.webhook_allow_networks, resolver, settings.webhook_ca_file) as session:
            runner = AttemptRunner(
                Recorder(engine, settings.base_url),
                session,
                TokenCache(session, settings),
                publisher,
                vault,
                settings,
                policy,
                observe,
            )
            pulse = pulse or Pulse("deliver", settings.watchdog_seconds)
            await _Worker(engine, runner, lease_seconds, poll_seconds, pulse).work(stop)
    finally:
        locks.cancel()
        await asyncio.wait([locks])
        await publisher.stop()
        await resolver.close()


class _Worker:
    """Attempts under way, and the loop that claims more as slots become free."""

    def __init__(
        self,
        engine: AsyncEngine,
        runner: AttemptRunner,
        lease_seconds: float | None,
        poll_seconds: float,
        pulse: Pulse,
    ) -> None:
        self._engine = engine
        self._runner = runner
        self._slots = Slots(runner.settings.webhook_concurrency)
        self._timeout_seconds = runner.settings.webhook_timeout_seconds
        self._quick_seconds = self._timeout_seconds / 3
        self._poll_seconds = poll_seconds
        self._pulse = pulse
        self._under_way: dict[asyncio.Task[None], ClaimedDelivery] = {}
        self._refreshed_at = -REFRESH_SECONDS
        self._woken = asyncio.Event()
        lease_seconds = lease_seconds or self._timeout_seconds + LEASE_MARGIN_SECONDS
        set_aside = runner.recorder.set_aside
        self._claimer = Claimer(engine, self._slots, set_aside, lease_seconds, poll_seconds, pulse, self._woken.set)

    async def work(self, stop: asyncio.Event) -> None:
        waker = asyncio.create_task(self._wake_on(stop))
        try:
            while not stop.is_set():
                self._woken.clear()
                for delivery in await self._claim():
                    self._start(delivery)
                await self._refresh()
                await self._sleep()
            await self._drain()
        finally:
            waker.cancel()
            await self._abandon()

    async def _claim(self) -> list[ClaimedDelivery]:
        limit = min(self._slots.free, MOST_TO_RECORD + self._slots.total - len(self._under_way))
        if limit <= 0:
            self._pulse.beat()
            return []
        return await self._claimer.claim(limit)

    def _start(self, delivery: ClaimedDelivery) -> None:
        self._slots.acquire(delivery.endpoint_id)
        task = asyncio.create_task(self._attempt(delivery))
        self._under_way[task] = delivery
        task.add_done_callback(self._under_way.pop)

    async def _attempt(self, delivery: ClaimedDelivery) -> None:
        endpoint, holds_slot = delivery.endpoint_id, True

        def release(outcome: RetryDecision, status: int | None, seconds: float) -> None:
            nonlocal holds_slot
            if outcome == GaveUp("gone"):
                return  # recording this disables it, and until then it must get nothing else
            holds_slot = False
            self._slots.release(endpoint, quick=seconds < self._quick_seconds)
            self._record_outcome(endpoint, outcome, status)
            self._woken.set()

        try:
            await self._runner.run(delivery, release)
        except Exception:
            log.exception("delivery_attempt_failed", delivery=str(delivery.id))
        finally:
            if holds_slot:
                self._slots.release(endpoint, quick=False)
            self._woken.set()

    def _record_outcome(self, endpoint: UUID, outcome: RetryDecision, status: int | None) -> None:
        now = time.monotonic()
        match outcome:
            case RetryAt(paused_until=datetime() as until, asked=asked):
                # The pause itself is in the database, where a change of the endpoint can end it.
                pause = min((until - datetime.now(UTC)).total_seconds(), REFRESH_SECONDS)
                self._slots.record_limit(endpoint, status, now + pause, now, asked=asked)
            case Succeeded():
                self._slots.record_success(endpoint)
                self._slots.record_answer(endpoint, status, now)
            case _:
                self._slots.record_answer(endpoint, status, now)

    async def _refresh(self) -> None:
        """Refresh endpoint states now and then, and forget endpoints that are sent nothing any more."""
        if time.monotonic() - self._refreshed_at < REFRESH_SECONDS:
            return
        self._refreshed_at = time.monotonic()
        try:
            found = await refresh_gauges(self._engine, datetime.now(UTC))
        except Exception as error:
            if not is_transient(error):
                raise
            return
        enabled = {each.id: each.target for each in found if each.enabled}
        self._claimer.any_limited = any(each.is_limited for each in found if each.enabled)
        self._slots.forget_all_but(enabled)
        show_breakers(enabled[endpoint] for endpoint in self._slots.open_breakers)

    async def _sleep(self) -> None:
        """Sleep until a slot becomes free, it is time to poll again, a pause ends, or the worker is stopped."""
        seconds = max(self._poll_seconds, self._claimer.outage_pause)
        if not self._claimer.outage_pause:
            seconds = min(seconds, self._slots.next_pause_ends(time.monotonic()) or seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._woken.wait()

    async def _wake_on(self, stop: asyncio.Event) -> None:
        await stop.wait()
        self._woken.set()

    async def _drain(self) -> None:
        """Wait for attempts to end, which they do within the timeout; only one that can't be recorded takes longer."""
        if self._under_way:
            log.info("deliveries_ending", under_way=len(self._under_way))
            await asyncio.wait(self._under_way, timeout=self._timeout_seconds + 1)

    async def _abandon(self) -> None:
        """Cancel the remaining attempts, and release their deliveries at once."""
        left = dict(self._under_way)
        if not left:
            return
        for task in left:
            task.cancel()
        await asyncio.wait(left)
        try:
            async with self._engine.begin() as connection:
                await outbox.release(connection, left.values())
        except Exception as error:  # noqa: BLE001 - the leases will expire
            log.warning("deliveries_not_released", count=len(left), error=type(error).__name__)
