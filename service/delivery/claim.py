"""Claims the deliveries that may be sent now: due, with room at their endpoint, and within the rate limits."""

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service.delivery.rate_limit import EndpointRateLimit
from service.runtime.target_kinds import NO_SCOPES, Scope
from service.storage.database.poison import is_poison
from service.storage.webhooks import outbox, rate_limits
from service.storage.webhooks.outbox import ClaimedDelivery


class UnclaimableError(Exception):
    """A delivery can't be read or leased because of its content; `room` is the room it was claimed with."""

    def __init__(self, reason: str, room: Mapping[UUID, int]) -> None:
        """`reason` is the kind of failure; its text may hold values."""
        super().__init__(reason)
        self.room = room


async def claim(
    connection: AsyncConnection,
    limit: int,
    now: datetime,
    lease_seconds: float,
    *,
    room: Mapping[UUID, int],
    default_room: int,
    coalesced: Mapping[str, Scope] = NO_SCOPES,
    include_rate_limited: bool = True,
    without: Collection[UUID] = (),
) -> list[ClaimedDelivery]:
    """Like `outbox.claim`, but no more than each endpoint's rate limit allows, over all delivery processes.

    Limits are read only with `include_rate_limited`. Raises `UnclaimableError` if a delivery itself is at fault.
    """
    limited = await rate_limits.lock(connection) if include_rate_limited else []
    rates = {each.id: EndpointRateLimit(each.rate, each.paid_until) for each in limited if each.rate is not None}
    allowed = {each.id: rates[each.id].allowance(now) if each.id in rates else 0 for each in limited}
    narrowed = {endpoint: min(most, room.get(endpoint, default_room)) for endpoint, most in allowed.items()}
    rooms = {**room, **narrowed}
    try:
        claimed = await outbox.claim(
            connection,
            limit,
            now,
            lease_seconds,
            room=rooms,
            default_room=default_room,
            coalesced=coalesced,
            include_rate_limited=include_rate_limited,
            without=without,
        )
    except Exception as error:
        if is_poison(error):
            raise UnclaimableError(type(error).__name__, rooms) from error
        raise
    sent = Counter(each.endpoint_id for each in claimed if each.endpoint_id in rates)
    await rate_limits.save_paid_until(
        connection,
        {endpoint: rates[endpoint].paid_until_after(count, now) for endpoint, count in sent.items()},
    )
    return claimed
