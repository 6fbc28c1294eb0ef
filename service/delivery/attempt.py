"""One delivery attempt from end to end: prepare → send → decide → record."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from aiohttp import ClientSession

from service.delivery.endpoint_health import EndedAttempt
from service.delivery.prepare import prepare
from service.delivery.recorder import Recorder
from service.delivery.reply_outcome import decide_outcome, interpret
from service.delivery.retry import GaveUp, RetryAt, RetryDecision, RetryPolicy, Succeeded
from service.delivery.tracing import attempt_span, end_span, with_traceparent
from service.delivery.transport.http import Failure, Reply, send
from service.delivery.transport.kafka import publish
from service.delivery.transport.oauth_retry import send_authorized
from service.delivery.transport.oauth_tokens import TokenCache
from service.messaging.publisher import Publisher, RawRecord
from service.runtime.errors import HealthError
from service.runtime.settings import Settings
from service.runtime.vault import Vault
from service.storage.webhooks.delivery_results import AttemptRecord, AttemptResult, DeliveryState
from service.storage.webhooks.outbox import ClaimedDelivery

log = structlog.get_logger(__name__)

OnSent = Callable[[RetryDecision, int | None, float], None]
"""Callback that gets the decision after an attempt, the status if there is one, and the duration in seconds."""


@dataclass(frozen=True, slots=True)
class AttemptOutcome:
    """The result of an attempt, for observers. `recorded` is False if the lease was lost; the message is then sent
    again.
    """

    delivery: ClaimedDelivery
    status: int | None
    failure: Failure | None
    outcome: RetryDecision
    duration_seconds: float
    recorded: bool

    @property
    def label(self) -> str:
        """The outcome in one word, as metrics and the log show it: `succeeded`, `gave_up`, or why another attempt
        follows.
        """
        match self.outcome:
            case Succeeded():
                return "succeeded"
            case GaveUp():
                return "gave_up"
            case RetryAt():
                return self.failure or "refused"

    @property
    def limited(self) -> bool:
        """True if the receiver takes nothing at the moment: the attempt doesn't count, and the endpoint pauses."""
        return isinstance(self.outcome, RetryAt) and self.outcome.paused_until is not None


@dataclass(frozen=True, slots=True)
class AttemptRunner:
    """Makes attempts; holds what they all share."""

    recorder: Recorder
    session: ClientSession
    tokens: TokenCache
    publisher: Publisher
    vault: Vault
    settings: Settings
    policy: RetryPolicy
    observe: Callable[[AttemptOutcome], None]

    async def run(self, delivery: ClaimedDelivery, sent: OnSent) -> AttemptOutcome:
        """Attempt a delivery once and record the result; waits while the database is unavailable and the lease holds.

        Once the answer is there, and before it is recorded, calls `sent` with the decision, the status and the seconds.
        """
        ids = {"delivery": str(delivery.id), "endpoint": str(delivery.endpoint_id)}
        with structlog.contextvars.bound_contextvars(**ids):
            return await self._run(delivery, sent)

    async def _run(self, delivery: ClaimedDelivery, sent: OnSent) -> AttemptOutcome:
        started_at, clock = datetime.now(UTC), time.perf_counter()
        with attempt_span(delivery) as span:
            reply, verdict = interpret(await self._send(delivery, started_at, span.traceparent), delivery.target)
            end_span(span, reply)
        duration = time.perf_counter() - clock
        now = datetime.now(UTC)
        spread = random.random()  # noqa: S311 - spreads retries, guards nothing
        outcome = decide_outcome(self.policy, delivery, reply, verdict, now, spread)
        sent(outcome, reply.status, duration)
        attempt = AttemptRecord(
            started_at=started_at,
            duration_seconds=duration,
            status=reply.status,
            error=_storable(reply.error),
            response=_storable(reply.excerpt.decode("utf-8", "replace")),
        )
        state, due_at = _next_state(outcome, now)
        free = isinstance(outcome, RetryAt) and outcome.paused_until is not None
        attempted = AttemptResult(delivery=delivery, attempt=attempt, state=state, due_at=due_at, costs=not free)
        recorded = await self.recorder.record(EndedAttempt(attempted, outcome, reply.failure))
        result = AttemptOutcome(delivery, reply.status, reply.failure, outcome, duration, recorded)
        _log(result)
        self.observe(result)
        return result

    async def _send(self, delivery: ClaimedDelivery, now: datetime, traceparent: str | None) -> Reply:
        try:
            prepared = with_traceparent(traceparent, prepare(delivery, self.vault, self.settings, now))
        except HealthError as error:
            return Reply(failure="prepare", error=str(error))
        except Exception as error:  # noqa: BLE001 - one message that can't be built must not stop the others
            return Reply(failure="prepare", error=f"the message can't be built ({type(error).__name__})")
        timeout = self.settings.webhook_timeout_seconds
        if isinstance(prepared, RawRecord):
            return await publish(self.publisher, prepared, timeout)
        if prepared.credentials is None:
            return await send(self.session, prepared, timeout)
        return await send_authorized(
            self.session, self.tokens, delivery.endpoint_id, prepared.credentials, prepared, timeout
        )


def _next_state(outcome: RetryDecision, now: datetime) -> tuple[DeliveryState, datetime]:
    match outcome:
        case Succeeded():
            return "succeeded", now
        case GaveUp():
            return "failed", now
        case RetryAt(when=when):
            return "pending", when


def _storable(text: str | None) -> str | None:
    # Postgres text holds no NUL.
    return text.replace("\0", "\ufffd") if text else None


def _log(result: AttemptOutcome) -> None:
    delivery = result.delivery
    level = log.info if isinstance(result.outcome, Succeeded) else log.warning
    level(
        "delivery_attempted",
        attempt=delivery.attempt,
        status=result.status,
        failure=result.failure,
        outcome=result.label,
        limited=result.limited,
        seconds=round(result.duration_seconds, 3),
        recorded=result.recorded,
    )
