"""Tracks endpoint health from attempts: healthy, failing, failing for too long, or gone.

One that has failed for days is disabled, after a warning. The decision (`decide_on_failing`) is pure.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service.alerts import operator_notices
from service.alerts.operator_notices import DISABLED, FAILING, EndpointNotice, endpoint_notice
from service.delivery.retry import GaveUp, RetryAt, RetryDecision, Succeeded
from service.delivery.transport.http import Failure
from service.storage.webhooks import endpoint_failures, endpoints, rate_limits
from service.storage.webhooks.delivery_results import AttemptResult
from service.storage.webhooks.endpoints import DisabledReason
from service.storage.webhooks.outbox import ClaimedDelivery

OWN_FAILURES: frozenset[Failure | None] = frozenset({"prepare"})
"""Failures of the service itself, such as a missing key: nothing was sent, so they say nothing about the endpoint."""

WARN_AFTER = timedelta(days=3)
DISABLE_AFTER = timedelta(days=5)
RECENT = timedelta(days=1)
"""One failure now and one long ago don't make an outage: nobody tried in between."""

_GONE = GaveUp("gone")


@dataclass(frozen=True, slots=True)
class EndedAttempt:
    """An attempt that has ended, with the decision about its delivery, and why it failed, if that is known."""

    attempted: AttemptResult
    outcome: RetryDecision
    failure: Failure | None

    @property
    def delivery(self) -> ClaimedDelivery:
        """The delivery that was attempted."""
        return self.attempted.delivery


async def record_attempts(
    connection: AsyncConnection, attempts: Sequence[EndedAttempt], now: datetime, base_url: str
) -> list[EndpointNotice]:
    """Record what ended attempts say about their endpoints; returns the notices sent to operators.

    Call it in the transaction that records the attempts, before deliveries are locked: deleting an endpoint locks in
    the same order.
    """
    # Pauses come first, and in order: they wait for endpoints locked by others, which `mark_healthy` doesn't.
    await rate_limits.pause(connection, _pauses(attempts))
    well = {each.delivery.endpoint_id for each in attempts if isinstance(each.outcome, Succeeded)}
    if well:
        await endpoint_failures.mark_healthy(connection, well)
    notices = [
        await record_failure(connection, each.delivery, each.outcome, each.failure, now, base_url)
        for each in _deciding_failures(attempts, well)
    ]
    return [notice for notice in notices if notice]


def _pauses(attempts: Sequence[EndedAttempt]) -> list[tuple[UUID, datetime]]:
    outcomes = ((each.delivery.endpoint_id, each.outcome) for each in attempts)
    return [
        (endpoint, outcome.paused_until)
        for endpoint, outcome in outcomes
        if isinstance(outcome, RetryAt) and outcome.paused_until
    ]


def _counts_against(outcome: RetryDecision) -> bool:
    """True if an attempt shows that the endpoint fails. An answer that only asks for time doesn't."""
    return not isinstance(outcome, Succeeded) and not (isinstance(outcome, RetryAt) and outcome.paused_until)


def _deciding_failures(attempts: Sequence[EndedAttempt], well: AbstractSet[UUID]) -> list[EndedAttempt]:
    """Choose one failed attempt per endpoint: one that says it is gone; otherwise, if none succeeded, one that failed.

    Of several, the one with the most attempts is chosen, as it has seen most of the outage.
    """
    found: dict[UUID, EndedAttempt] = {}
    for each in sorted(attempts, key=lambda ended: (ended.outcome == _GONE, ended.delivery.attempt)):
        if _counts_against(each.outcome) and (each.outcome == _GONE or each.delivery.endpoint_id not in well):
            found[each.delivery.endpoint_id] = each
    return [found[endpoint_id] for endpoint_id in sorted(found)]


async def record_failure(
    connection: AsyncConnection,
    delivery: ClaimedDelivery,
    outcome: RetryDecision,
    failure: Failure | None,
    now: datetime,
    base_url: str,
) -> EndpointNotice | None:
    """Record an attempt that failed at `now`; returns the notice sent to operators, if any."""
    if failure in OWN_FAILURES:
        return None
    if outcome == _GONE:
        return await _disable(connection, delivery, "gone", now, base_url)
    if delivery.failing_since is None:
        await endpoint_failures.mark_failing(connection, delivery.endpoint_id, now)
        return None
    if not is_decision_due(delivery.failing_since, delivery.warned_at, now):
        return None
    failing = await endpoint_failures.lock(connection, delivery.endpoint_id, delivery.id, now - RECENT)
    if failing is None:
        return None
    match decide_on_failing(failing.failing_since, failing.warned_at, failing.attempted_at, now):
        case Disable():
            return await _disable(connection, delivery, "failing", now, base_url)
        case Warn(disabled_at):
            return await _warn(connection, delivery, disabled_at, now, base_url)
        case None:
            return None


async def _disable(
    connection: AsyncConnection, delivery: ClaimedDelivery, reason: DisabledReason, now: datetime, base_url: str
) -> EndpointNotice | None:
    endpoint = await endpoints.disable(connection, delivery.endpoint_id, reason, now)
    if endpoint is None:
        return None
    notice = endpoint_notice(endpoint, DISABLED, reason, endpoint.failing_since or now, now)
    await operator_notices.send_about_endpoint(connection, notice, now, base_url)
    return notice


async def _warn(
    connection: AsyncConnection, delivery: ClaimedDelivery, disabled_at: datetime, now: datetime, base_url: str
) -> EndpointNotice | None:
    endpoint = await endpoint_failures.mark_warned(connection, delivery.endpoint_id, now)
    notice = endpoint_notice(endpoint, FAILING, "failing", endpoint.failing_since or now, disabled_at)
    await operator_notices.send_about_endpoint(connection, notice, now, base_url)
    return notice


@dataclass(frozen=True, slots=True)
class Warn:
    """Warn operators that the endpoint will be disabled, at `disabled_at` at the earliest."""

    disabled_at: datetime


@dataclass(frozen=True, slots=True)
class Disable:
    """The endpoint has failed for too long."""


DisableVerdict = Warn | Disable | None


def is_decision_due(failing_since: datetime, warned_at: datetime | None, now: datetime) -> bool:
    """True if `decide_on_failing` may decide anything; cheaper, as it needs less."""
    return now - failing_since >= (WARN_AFTER if warned_at is None else DISABLE_AFTER)


def decide_on_failing(
    failing_since: datetime, warned_at: datetime | None, attempted_at: datetime | None, now: datetime
) -> DisableVerdict:
    """The decision after an attempt that failed at `now`, as all have since `failing_since`.

    `attempted_at` is the start of the previous attempt, None if there was none; the endpoint is disabled only if it
    lies within `RECENT`. The warning is given once, before that.
    """
    failing = now - failing_since
    if failing >= DISABLE_AFTER and attempted_at is not None and now - attempted_at <= RECENT:
        return Disable()
    if failing >= WARN_AFTER and warned_at is None:
        return Warn(max(failing_since + DISABLE_AFTER, now))
    return None
