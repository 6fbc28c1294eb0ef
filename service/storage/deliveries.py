"""The outbox: which alert goes to which endpoint, and who is sending it.

A delivery is written in the transaction that writes its alert, is claimed for a time (a lease), sent with no
transaction open, and its result recorded if the lease still holds. A sender that dies leaves a lease to lapse, and
the delivery is claimed again: at least once. Times come from the callers' clocks.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, Text, Uuid, and_, cast, func, insert, literal, null, or_, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage import endpoint_failures
from service.storage.tables import Instant, accounts, alerts, deliveries, delivery_attempts
from service.storage.tables import webhook_endpoints as endpoints

State = Literal["pending", "succeeded", "failed", "superseded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedDelivery:
    """All that is needed to send one message.

    `attempt` is the number that this attempt will have, from 1, and `tries` its place in the retry schedule, which
    begins anew when a delivery is sent again. `failing_since` and `warned_at` are the endpoint's, when it was claimed.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One HTTP try: a status, or why there was no answer."""

    started_at: datetime
    duration_seconds: float
    status: int | None
    error: str | None
    response: str | None = field(repr=False)


async def enqueue(conn: AsyncConnection, alert_ids: Sequence[UUID], now: datetime, *, but: UUID | None = None) -> int:
    """Write one delivery for each of the alerts and each enabled endpoint whose filters it passes; how many are new.

    Quiet alerts go to nobody, and none to the endpoint `but`. Call it in the alerts' own transaction. Repeating it
    adds nothing.
    """
    source = (
        select(func.gen_random_uuid(), alerts.c.id, endpoints.c.id, literal(now, Instant), literal(now, Instant))
        .select_from(
            alerts.outerjoin(accounts, accounts.c.account_id == alerts.c.account_id).join(endpoints, _passes())
        )
        .where(alerts.c.id == func.any(literal(list(alert_ids), ARRAY(Uuid))))
        # An endpoint that is being deleted is waited for and left out; else the foreign key would fail the caller.
        .with_for_update(read=True, key_share=True, of=endpoints)
    )
    if but is not None:
        source = source.where(endpoints.c.id != but)
    columns = ["id", "alert_id", "endpoint_id", "due_at", "created_at"]
    statement = postgres_insert(deliveries).from_select(columns, source).on_conflict_do_nothing()
    return (await conn.execute(statement)).rowcount


async def enqueue_for(conn: AsyncConnection, alert_id: UUID, endpoint_id: UUID, now: datetime) -> UUID:
    """Write the delivery of an alert to one endpoint, whatever its filters say; the delivery's id."""
    delivery_id = uuid4()
    row = {"id": delivery_id, "alert_id": alert_id, "endpoint_id": endpoint_id, "due_at": now, "created_at": now}
    await conn.execute(insert(deliveries).values(row))
    return delivery_id


def _passes() -> ColumnElement[bool]:
    rule_id = cast(alerts.c.rule_id, Text)
    rule_matches = or_(rule_id == func.any(endpoints.c.rules), alerts.c.rule == func.any(endpoints.c.rules))
    return and_(
        endpoints.c.enabled,
        ~alerts.c.quiet,
        _one_of(alerts.c.type, endpoints.c.event_types),
        or_(endpoints.c.rules.is_(None), rule_matches),
        _one_of(alerts.c.data.op("->>")("band"), endpoints.c.bands),
        _one_of(accounts.c.segment, endpoints.c.segments),
        _one_of(accounts.c.stage, endpoints.c.stages),
        _one_of(accounts.c.owner, endpoints.c.owners),
    )


def _one_of(value: ColumnElement[str], wanted: ColumnElement[Sequence[str]]) -> ColumnElement[bool]:
    return or_(wanted.is_(None), value == func.any(wanted))


_CLAIM = text("""
WITH room AS (
    SELECT endpoint.id, endpoint.ordered, least(coalesce(given.room, :room_otherwise), :limit) AS free
    FROM webhook_endpoints AS endpoint
    LEFT JOIN unnest(CAST(:ids AS uuid[]), CAST(:rooms AS integer[])) AS given (id, room) USING (id)
    WHERE endpoint.enabled
),
picked AS MATERIALIZED (
    SELECT due.id
    FROM room CROSS JOIN LATERAL (
        SELECT delivery.id, delivery.due_at
        FROM deliveries AS delivery JOIN alerts AS alert ON alert.id = delivery.alert_id
        WHERE delivery.endpoint_id = room.id AND delivery.state = 'pending' AND delivery.due_at <= :now
          AND (delivery.leased_until IS NULL OR delivery.leased_until <= :now)
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
),
claimed AS (
    UPDATE deliveries SET lease = :lease, leased_until = :leased_until
    FROM picked WHERE deliveries.id = picked.id
    RETURNING deliveries.*
)
SELECT claimed.id, claimed.lease, claimed.leased_until, claimed.attempts + 1 AS attempt, claimed.endpoint_id,
       claimed.tries + 1 AS tries, endpoint.url, endpoint.target, endpoint.secret, endpoint.headers, endpoint.options,
       endpoint.failing_since, endpoint.warned_at,
       claimed.alert_id, alert.type, alert.created_at, CAST(alert.data AS text) AS data
FROM claimed
JOIN webhook_endpoints AS endpoint ON endpoint.id = claimed.endpoint_id
JOIN alerts AS alert ON alert.id = claimed.alert_id
""")


async def claim(
    conn: AsyncConnection,
    limit: int,
    now: datetime,
    lease_seconds: float,
    *,
    room: Mapping[UUID, int],
    room_otherwise: int,
) -> list[ClaimedDelivery]:
    """Up to `limit` due deliveries, for this caller alone until the lease lapses.

    Fair: an endpoint gets no more than there is `room` for, or `room_otherwise` if that doesn't name it; and every
    endpoint gets its first before any gets its second. Deliveries that another claims at this moment are passed
    over, not waited for. For an `ordered` endpoint only an account's earliest unfinished delivery is due.
    """
    rows = await conn.execute(
        _CLAIM,
        {
            "limit": limit,
            "now": now,
            "lease": uuid4(),
            "leased_until": now + timedelta(seconds=lease_seconds),
            "room_otherwise": room_otherwise,
            "ids": list(room),
            "rooms": list(room.values()),
        },
    )
    return [ClaimedDelivery(**row._mapping) for row in rows]


_POSTPONE = text("""
UPDATE deliveries SET due_at = :due_at WHERE id IN (
    SELECT later.id
    FROM deliveries AS this
    JOIN webhook_endpoints AS endpoint ON endpoint.id = this.endpoint_id AND endpoint.ordered
    JOIN alerts AS alert ON alert.id = this.alert_id
    JOIN alerts AS next ON next.account_id = alert.account_id AND next.sequence > alert.sequence
    JOIN deliveries AS later ON later.alert_id = next.id AND later.endpoint_id = this.endpoint_id
    WHERE this.id = :id AND later.state = 'pending' AND later.due_at < :due_at
    FOR UPDATE OF later SKIP LOCKED
)
""")
"""Only to spare `claim` from passing over what waits behind a failed delivery, which took 24 µs for each every time."""


async def record(
    conn: AsyncConnection, delivery: ClaimedDelivery, attempt: Attempt, state: State, due_at: datetime, now: datetime
) -> bool:
    """Write an attempt's result and give up the lease; False, and nothing written, if the lease is no longer held.

    `due_at` is when a delivery that stays `pending` is to be tried again; so are those that have to wait for it. With
    a success the endpoint ceases to fail, whoever holds the lease.
    """
    statement = (
        update(deliveries)
        .where(deliveries.c.id == delivery.id, deliveries.c.lease == delivery.lease)
        .values(
            state=state,
            due_at=due_at,
            attempts=deliveries.c.attempts + 1,
            tries=deliveries.c.tries + 1,
            lease=null(),
            leased_until=null(),
            finished_at=null() if state == "pending" else now,
        )
        .returning(deliveries.c.attempts)
    )
    if state == "succeeded":
        statement = statement.add_cte(endpoint_failures.ending(delivery.endpoint_id))
    number = (await conn.execute(statement)).scalar_one_or_none()
    if number is None:
        return False
    await conn.execute(insert(delivery_attempts).values(delivery_id=delivery.id, number=number, **asdict(attempt)))
    if state == "pending":
        await conn.execute(_POSTPONE, {"id": delivery.id, "due_at": due_at})
    return True


async def release(conn: AsyncConnection, claimed: Collection[ClaimedDelivery]) -> int:
    """Give up leases without a result, so that others need not wait for them to lapse; how many were still held."""
    result = await conn.execute(
        update(deliveries)
        .where(
            deliveries.c.id.in_([delivery.id for delivery in claimed]),
            deliveries.c.lease.in_({delivery.lease for delivery in claimed}),
        )
        .values(lease=null(), leased_until=null())
    )
    return result.rowcount
