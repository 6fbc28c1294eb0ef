"""One attempt from end to end: prepare → send → decide → record."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from aiohttp import ClientSession
from sqlalchemy.ext.asyncio import AsyncEngine

from service import endpoint_notices
from service.delivery import standing
from service.delivery.prepare import prepare
from service.delivery.retry import GaveUp, Outcome, RetryAt, RetryPolicy, Succeeded, decide
from service.delivery.transport import Failure, Reply, send
from service.errors import HealthError
from service.secrets import Vault
from service.settings import Settings
from service.storage import deliveries
from service.storage.deliveries import Attempt, ClaimedDelivery, State
from service.storage.transient import is_transient

log = structlog.get_logger(__name__)

RECORD_AGAIN_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class AttemptOutcome:
    """What an observer is told. `recorded` is False if the lease was lost, and the message will be sent once more."""

    delivery: ClaimedDelivery
    status: int | None
    failure: Failure | None
    outcome: Outcome
    duration_seconds: float
    recorded: bool


@dataclass(frozen=True, slots=True)
class Carrier:
    """Makes attempts. Holds what they have in common."""

    engine: AsyncEngine
    session: ClientSession
    vault: Vault
    settings: Settings
    policy: RetryPolicy
    observe: Callable[[AttemptOutcome], None]

    async def carry(self, delivery: ClaimedDelivery) -> AttemptOutcome:
        """Attempt a delivery once and record how it went; waits while the database is away and the lease holds."""
        started_at, clock = datetime.now(UTC), time.perf_counter()
        reply = await self._send(delivery, started_at)
        duration = time.perf_counter() - clock
        now = datetime.now(UTC)
        spread = random.random()  # noqa: S311 - spreads retries, guards nothing
        outcome = decide(self.policy, delivery.tries, reply.status, reply.retry_after, now, spread)
        attempt = Attempt(
            started_at=started_at,
            duration_seconds=duration,
            status=reply.status,
            error=reply.error,
            response=_readable(reply.excerpt),
        )
        recorded = await self._record(delivery, attempt, outcome, reply.failure, now)
        result = AttemptOutcome(delivery, reply.status, reply.failure, outcome, duration, recorded)
        _log(result)
        self.observe(result)
        return result

    async def _send(self, delivery: ClaimedDelivery, now: datetime) -> Reply:
        try:
            request = prepare(delivery, self.vault, self.settings, now)
        except HealthError as error:
            return Reply(failure="prepare", error=str(error))
        except Exception as error:  # noqa: BLE001 - one message that can't be built must not stop the others
            return Reply(failure="prepare", error=f"the message can't be built ({type(error).__name__})")
        return await send(self.session, request, self.settings.webhook_timeout_seconds)

    async def _record(
        self, delivery: ClaimedDelivery, attempt: Attempt, outcome: Outcome, failure: Failure | None, now: datetime
    ) -> bool:
        while True:
            try:
                return await self._write(delivery, attempt, outcome, failure, now)
            except Exception as error:  # noqa: BLE001 - one result that can't be written must not stop the others
                # Not the error's text, which may hold the values that were to be written.
                sqlstate = getattr(getattr(error, "orig", None), "sqlstate", None)
                log.warning(
                    "delivery_not_recorded", delivery=str(delivery.id), error=type(error).__name__, sqlstate=sqlstate
                )
                if not is_transient(error) or datetime.now(UTC) >= delivery.leased_until:
                    return False
            await asyncio.sleep(RECORD_AGAIN_SECONDS)

    async def _write(
        self, delivery: ClaimedDelivery, attempt: Attempt, outcome: Outcome, failure: Failure | None, now: datetime
    ) -> bool:
        async with self.engine.begin() as conn:
            notice = await standing.judge(conn, delivery, outcome, failure, now, self.settings.base_url)
            recorded = await deliveries.record(conn, delivery, attempt, *_state(outcome, now), now)
        if notice:
            endpoint_notices.put_in_log(notice)
        return recorded


def _state(outcome: Outcome, now: datetime) -> tuple[State, datetime]:
    match outcome:
        case Succeeded():
            return "succeeded", now
        case GaveUp():
            return "failed", now
        case RetryAt(when):
            return "pending", when


def _readable(excerpt: bytes) -> str | None:
    # Postgres text holds no NUL.
    return excerpt.decode("utf-8", "replace").replace("\0", "\ufffd") if excerpt else None


def _log(result: AttemptOutcome) -> None:
    delivery = result.delivery
    level = log.info if isinstance(result.outcome, Succeeded) else log.warning
    level(
        "delivery_attempted",
        delivery=str(delivery.id),
        endpoint=str(delivery.endpoint_id),
        attempt=delivery.attempt,
        status=result.status,
        failure=result.failure,
        outcome=type(result.outcome).__name__,
        seconds=round(result.duration_seconds, 3),
        recorded=result.recorded,
    )
