"""Claims the deliveries that may be sent now: due, with room at their endpoint, and within the rate limits."""

from collections import Counter
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from service.delivery.rate_limit import EndpointRateLimit
from service.storage.database.errors import is_poison
from service.storage.webhooks import outbox, rate_limits
from service.storage.webhooks.outbox import ClaimedDelivery, SendingLimits


class UnclaimableError(Exception):
    """A delivery can't be read or leased because of its content; `limits` are those of the claim."""

    def __init__(self, reason: str, limits: SendingLimits) -> None:
        """`reason` is the kind of failure; its text may hold values."""
        super().__init__(reason)
        self.limits = limits


async def claim(
    connection: AsyncConnection, limit: int, now: datetime, lease_seconds: float, limits: SendingLimits
) -> list[ClaimedDelivery]:
    """Like `outbox.claim`, but no more than each endpoint's rate limit allows, over all delivery processes.

    Rate limits are read only with `include_rate_limited`. Raises `UnclaimableError` if a delivery itself is at fault.
    """
    limited = await rate_limits.lock(connection) if limits.include_rate_limited else []
    rates = {each.id: EndpointRateLimit(each.rate, each.paid_until) for each in limited if each.rate is not None}
    allowed = {each.id: rates[each.id].allowance(now) if each.id in rates else 0 for each in limited}
    limits = limits.narrowed(allowed)
    try:
        claimed = await outbox.claim(connection, limit, now, lease_seconds, limits)
    except Exception as error:
        if is_poison(error):
            raise UnclaimableError(type(error).__name__, limits) from error
        raise
    sent = Counter(each.endpoint_id for each in claimed if each.endpoint_id in rates)
    await rate_limits.save_paid_until(
        connection,
        {endpoint: rates[endpoint].paid_until_after(count, now) for endpoint, count in sent.items()},
    )
    return claimed
