"""The outbox: claims deliveries for sending, each for a time.

A delivery is created in the transaction that writes its alert (`alerts.routing`), is claimed for a time (a lease), sent
with no transaction open, and its result recorded if the lease still holds (`delivery_results`). If a sender dies, its
lease expires and the delivery is claimed again: at least once. Times come from the callers' clocks.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import TextClause, null, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from service.runtime.target_kinds import NO_SCOPES, Scope
from service.storage.database.tables import deliveries
from service.storage.webhooks.coalescing import COALESCING, parameters


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedDelivery:
    """All data needed to send one message.

    `attempt` is the number of this attempt, from 1, and `tries` its place in the retry schedule, which restarts when a
    delivery is sent again: at `began_at`. `failing_since` and `warned_at` are the endpoint's, when it was claimed.
    """

    id: UUID
    lease: UUID
    leased_until: datetime
    attempt: int
    tries: int
    endpoint_id: UUID
    url: str = field(repr=False)
    target: str
    secret: bytes = field(repr=False)
    headers: bytes | None = field(repr=False)
    options: bytes | None = field(repr=False)
    failing_since: datetime | None
    warned_at: datetime | None
    alert_id: UUID
    type: str
    created_at: datetime
    data: str = field(repr=False)
    traceparent: str | None = None
    began_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SendingLimits:
    """The limits of one claim: the deliveries that each endpoint may get now.

    `room` has the number by endpoint; one that isn't in it may get `default_room`. Endpoints with a rate limit get
    deliveries only with `include_rate_limited`; the caller must then hold the locks of their limits. Targets in
    `coalesced` are sent a state: only the newest delivery of their scope. Deliveries in `without` are skipped.
    """

    room: Mapping[UUID, int]
    default_room: int
    include_rate_limited: bool = True
    coalesced: Mapping[str, Scope] = field(default_factory=lambda: NO_SCOPES)
    without: Collection[UUID] = ()

    def narrowed(self, allowed: Mapping[UUID, int]) -> "SendingLimits":
        """The same limits with no more room at endpoints than is `allowed` there."""
        narrowed = {
            endpoint: min(most, self.room.get(endpoint, self.default_room)) for endpoint, most in allowed.items()
        }
        return replace(self, room={**self.room, **narrowed})

    @property
    def parameters(self) -> dict[str, object]:
        """The values of `_PICKING` that follow from the limits."""
        return {
            "default_room": self.default_room,
            "ids": list(self.room),
            "rooms": list(self.room.values()),
            "include_rate_limited": self.include_rate_limited,
            "without": list(self.without),
        }


_SENDABLE = """
SELECT claimed.id, claimed.lease, claimed.leased_until, claimed.attempts + 1 AS attempt, claimed.endpoint_id,
       claimed.tries + 1 AS tries, endpoint.failing_since, endpoint.warned_at,
       endpoint.url, endpoint.target, endpoint.secret, endpoint.headers, endpoint.options,
       claimed.alert_id, alert.type, alert.created_at, CAST(coalesce(claimed.data, alert.data) AS text) AS data,
       alert.traceparent, coalesce(claimed.resent_at, claimed.created_at) AS began_at
FROM claimed
JOIN webhook_endpoints AS endpoint ON endpoint.id = claimed.endpoint_id
JOIN alerts AS alert ON alert.id = claimed.alert_id
"""

_PICKING = """
WITH room AS (
    SELECT endpoint.id, endpoint.ordered, least(coalesce(given.room, :default_room), :limit) AS free
    FROM webhook_endpoints AS endpoint
    LEFT JOIN unnest(CAST(:ids AS uuid[]), CAST(:rooms AS integer[])) AS given (id, room) USING (id)
    WHERE endpoint.enabled AND (:include_rate_limited OR endpoint.rate_limit IS NULL)
      AND (endpoint.paused_until IS NULL OR endpoint.paused_until <= :now)
),
picked AS MATERIALIZED (
    SELECT due.id
    FROM room CROSS JOIN LATERAL (
        SELECT delivery.id, delivery.due_at
        FROM deliveries AS delivery JOIN alerts AS alert ON alert.id = delivery.alert_id
        WHERE delivery.endpoint_id = room.id AND delivery.state = 'pending' AND delivery.due_at <= :now
          AND (delivery.leased_until IS NULL OR delivery.leased_until <= :now)
          AND delivery.id <> ALL(CAST(:without AS uuid[]))
          AND NOT (room.ordered AND EXISTS (
              SELECT FROM deliveries AS earlier JOIN alerts AS before ON before.id = earlier.alert_id
              WHERE earlier.endpoint_id = room.id AND earlier.state = 'pending'
                AND before.account_id = alert.account_id AND before.sequence < alert.sequence
          ))
        ORDER BY delivery.due_at
        LIMIT room.free
        FOR UPDATE OF delivery SKIP LOCKED
    ) AS due
    ORDER BY row_number() OVER (PARTITION BY room.id ORDER BY due.due_at), due.due_at
    LIMIT :limit
)
"""
_TAKING = """
, claimed AS (
    UPDATE deliveries SET lease = :lease, leased_until = :leased_until
    FROM picked WHERE deliveries.id = picked.id
    RETURNING deliveries.*
)
"""
_CLAIM = text(_PICKING + _TAKING + _SENDABLE)
_PICK = text(_PICKING + "SELECT id FROM picked")  # noqa: S608 - made of this module's own text
_COALESCE = text(COALESCING + _SENDABLE)


async def claim(
    connection: AsyncConnection, limit: int, now: datetime, lease_seconds: float, limits: SendingLimits
) -> list[ClaimedDelivery]:
    """Claim up to `limit` due deliveries within `limits`, for this caller alone until the lease lapses.

    The claim is fair: every endpoint gets its first delivery before any gets its second. Deliveries that another
    process is claiming are skipped, not waited for. For an `ordered` endpoint only an account's earliest unfinished
    delivery is due. For one whose target is coalesced only an account's newest is due, or the newest of each rule, and
    the older ones are superseded (`coalescing`). Endpoints that asked for a pause get nothing.
    """
    lease = {"lease": uuid4(), "leased_until": now + timedelta(seconds=lease_seconds)}
    claimed = await _sendable(connection, _CLAIM, {"limit": limit, "now": now, **lease, **limits.parameters})
    ids = [each.id for each in claimed if each.target in limits.coalesced]
    if not ids:
        return claimed
    newest = await _sendable(connection, _COALESCE, {"ids": ids, **lease, **parameters(limits.coalesced, now)})
    return [each for each in claimed if each.target not in limits.coalesced] + newest


async def lock_first(connection: AsyncConnection, now: datetime, limits: SendingLimits) -> UUID | None:
    """The delivery that `claim` takes if it may take one; it is locked, and nothing else of it is read."""
    values = {"limit": 1, "now": now, **limits.parameters}
    found = (await connection.execute(_PICK, values)).scalar_one_or_none()
    return None if found is None else UUID(str(found))


async def _sendable(
    connection: AsyncConnection, statement: TextClause, values: Mapping[str, object]
) -> list[ClaimedDelivery]:
    return [ClaimedDelivery(**row._mapping) for row in await connection.execute(statement, values)]


async def release(connection: AsyncConnection, claimed: Collection[ClaimedDelivery]) -> int:
    """Give up leases without a result, so that others need not wait for them to expire; returns how many were still
    held.
    """
    result = await connection.execute(
        update(deliveries)
        .where(
            deliveries.c.id.in_([delivery.id for delivery in claimed]),
            deliveries.c.lease.in_({delivery.lease for delivery in claimed}),
        )
        .values(lease=null(), leased_until=null())
    )
    return result.rowcount
