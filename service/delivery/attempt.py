"""One attempt from end to end: prepare → send → decide → record."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import structlog
from aiohttp import ClientSession
from sqlalchemy.ext.asyncio import AsyncEngine

from service.delivery.prepare import prepare
from service.delivery.retry import GaveUp, Outcome, RetryAt, RetryPolicy, Succeeded, decide, is_success
from service.delivery.targets import target_of
from service.delivery.transport import Failure, Reply, send
from service.errors import HealthError
from service.secrets import Vault
from service.settings import Settings
from service.storage import deliveries, endpoints
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
        status = None if reply.failure else reply.status
        outcome = decide(self.policy, delivery.attempt, status, reply.retry_after, now, spread)
        attempt = Attempt(
            started_at=started_at,
            duration_seconds=duration,
            status=reply.status,
            error=_storable(reply.error),
            response=_storable(reply.excerpt.decode("utf-8", "replace")),
        )
        recorded = await self._record(delivery, attempt, outcome, now)
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
        return _judged(await send(self.session, request, self.settings.webhook_timeout_seconds), delivery.target)

    async def _record(self, delivery: ClaimedDelivery, attempt: Attempt, outcome: Outcome, now: datetime) -> bool:
        while True:
            try:
                async with self.engine.begin() as conn:
                    if outcome == GaveUp("gone"):
                        # Before the delivery's row, the order in which deleting an endpoint locks them.
                        await endpoints.disable(conn, delivery.endpoint_id, now)
                    return await deliveries.record(conn, delivery, attempt, *_state(outcome, now), now)
            except Exception as error:  # noqa: BLE001 - one result that can't be written must not stop the others
                # Not the error's text, which may hold the values that were to be written.
                sqlstate = getattr(getattr(error, "orig", None), "sqlstate", None)
                log.warning(
                    "delivery_not_recorded", delivery=str(delivery.id), error=type(error).__name__, sqlstate=sqlstate
                )
                if not is_transient(error) or datetime.now(UTC) >= delivery.leased_until:
                    return False
            await asyncio.sleep(RECORD_AGAIN_SECONDS)


def _judged(reply: Reply, target: str) -> Reply:
    """The reply; a failure if it is a 2xx in which the target reads that the message was refused."""
    if reply.status is None or not is_success(reply.status):
        return reply
    refusal = target_of(target).refusal(reply.status, reply.excerpt)
    return replace(reply, failure="refused", error=refusal) if refusal else reply


def _state(outcome: Outcome, now: datetime) -> tuple[State, datetime]:
    match outcome:
        case Succeeded():
            return "succeeded", now
        case GaveUp():
            return "failed", now
        case RetryAt(when):
            return "pending", when


def _storable(text: str | None) -> str | None:
    # Postgres text holds no NUL.
    return text.replace("\0", "\ufffd") if text else None


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
