"""Claiming what may be sent now: due, where there is room, and within the rate limits."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from service.delivery.pacing import Pace
from service.storage import deliveries, paces
from service.storage.coalescing import NO_SCOPES, Scope
from service.storage.deliveries import ClaimedDelivery


async def claim(
    connection: AsyncConnection,
    limit: int,
    now: datetime,
    lease_seconds: float,
    *,
    room: Mapping[UUID, int],
    room_otherwise: int,
    coalesced: Mapping[str, Scope] = NO_SCOPES,
    limited_too: bool = True,
) -> list[ClaimedDelivery]:
    """As `deliveries.claim`, and no more than each endpoint's rate limit allows, over all who claim.

    Limits are looked up only if endpoints that have one are claimed for, `limited_too`.
    """
    limited = await paces.hold(connection) if limited_too else []
    kept = {each.id: Pace(each.rate, each.paid_until) for each in limited if each.rate is not None}
    allowed = {each.id: kept[each.id].allowance(now) if each.id in kept else 0 for each in limited}
    narrowed = {endpoint: min(most, room.get(endpoint, room_otherwise)) for endpoint, most in allowed.items()}
    claimed = await deliveries.claim(
        connection,
        limit,
        now,
        lease_seconds,
        room={**room, **narrowed},
        room_otherwise=room_otherwise,
        coalesced=coalesced,
        limited_too=limited_too,
    )
    sent = Counter(each.endpoint_id for each in claimed if each.endpoint_id in kept)
    await paces.keep(connection, {endpoint: kept[endpoint].after(count, now) for endpoint, count in sent.items()})
    return claimed
