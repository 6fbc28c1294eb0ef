"""What an attempt says of its endpoint: it is well, it fails, it has failed for too long, or it is gone."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from service import endpoint_notices
from service.delivery import endurance
from service.delivery.endurance import Disable, Warn
from service.delivery.retry import GaveUp, Outcome, Succeeded
from service.delivery.transport import Failure
from service.endpoint_notices import DISABLED, FAILING, Notice, notice_of
from service.storage import endpoint_failures, endpoints
from service.storage.deliveries import ClaimedDelivery
from service.storage.endpoints import DisabledReason

OURS: frozenset[Failure | None] = frozenset({"prepare"})
"""Failures of the service itself, such as a missing key: nothing was sent, so they say nothing of the endpoint."""


async def judge(
    conn: AsyncConnection,
    delivery: ClaimedDelivery,
    outcome: Outcome,
    failure: Failure | None,
    now: datetime,
    base_url: str,
) -> Notice | None:
    """Note how an attempt that ended at `now` speaks for or against its endpoint; what operators are told, if anything.

    Call it in the transaction that records the attempt and before that locks the delivery: in this order deleting an
    endpoint locks them. A success is noted by the record itself.
    """
    if isinstance(outcome, Succeeded) or failure in OURS:
        return None
    if outcome == GaveUp("gone"):
        return await _disable(conn, delivery, "gone", now, base_url)
    if delivery.failing_since is None:
        await endpoint_failures.begin(conn, delivery.endpoint_id, now)
        return None
    if not endurance.is_due(delivery.failing_since, delivery.warned_at, now):
        return None
    failing = await endpoint_failures.lock(conn, delivery.endpoint_id, delivery.id)
    if failing is None:
        return None
    match endurance.judge(failing.failing_since, failing.warned_at, failing.attempted_at, now):
        case Disable():
            return await _disable(conn, delivery, "failing", now, base_url)
        case Warn(disabled_at):
            return await _warn(conn, delivery, disabled_at, now, base_url)
        case None:
            return None


async def _disable(
    conn: AsyncConnection, delivery: ClaimedDelivery, reason: DisabledReason, now: datetime, base_url: str
) -> Notice | None:
    endpoint = await endpoints.disable(conn, delivery.endpoint_id, reason, now)
    if endpoint is None:
        return None
    notice = notice_of(endpoint, DISABLED, reason, endpoint.failing_since or now, now)
    await endpoint_notices.tell(conn, notice, now, base_url)
    return notice


async def _warn(
    conn: AsyncConnection, delivery: ClaimedDelivery, disabled_at: datetime, now: datetime, base_url: str
) -> Notice | None:
    endpoint = await endpoint_failures.warned(conn, delivery.endpoint_id, now)
    notice = notice_of(endpoint, FAILING, "failing", endpoint.failing_since or now, disabled_at)
    await endpoint_notices.tell(conn, notice, now, base_url)
    return notice
