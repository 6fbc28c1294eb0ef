"""Reads alerts: newest first for people, or from a mark on for pollers that must miss none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, Text, cast, or_, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.database.tables import alerts

AlertPosition = tuple[datetime, UUID]
"""An alert's place in the order of creation: `created_at` and `id`."""

AlertMark = tuple[int, UUID]
"""An alert's place in the order of transactions: `transaction` and `id`."""

_FIRST = UUID(int=0)
BEGINNING: AlertMark = (-1, _FIRST)

_place: ColumnElement[Any] = tuple_(alerts.c.created_at, alerts.c.id)
_mark: ColumnElement[Any] = tuple_(alerts.c.transaction, alerts.c.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertFilter:
    """Conditions on alerts; None matches all. `rule` is a rule's id or its name at the time."""

    account_id: str | None = None
    rule: str | None = None
    state: str | None = None
    digest: UUID | None = None


async def get(connection: AsyncConnection, alert_id: UUID) -> Row[Any] | None:
    """One alert, or None."""
    return (await connection.execute(select(alerts).where(alerts.c.id == alert_id))).one_or_none()


async def newest(
    connection: AsyncConnection, wanted: AlertFilter, *, before: AlertPosition | None, limit: int
) -> Sequence[Row[Any]]:
    """Up to `limit` alerts, newest first, from before a position."""
    query = _narrow(select(alerts), wanted)
    if before is not None:
        query = query.where(_place < before)
    query = query.order_by(alerts.c.created_at.desc(), alerts.c.id.desc()).limit(limit)
    rows: Sequence[Row[Any]] = (await connection.execute(query)).all()
    return rows


async def since(
    connection: AsyncConnection, wanted: AlertFilter, *, after: AlertMark, until: AlertMark, limit: int
) -> Sequence[Row[Any]]:
    """Up to `limit` alerts in the order of marks, after one and before another, which `settled_marks` returns."""
    query = _narrow(select(alerts), wanted).where(_mark > after, _mark < until)
    query = query.order_by(alerts.c.transaction, alerts.c.id).limit(limit)
    rows: Sequence[Row[Any]] = (await connection.execute(query)).all()
    return rows


_SETTLED = text("""
    SELECT CAST(CAST(pg_snapshot_xmin(now) AS text) AS bigint) AS settled,
           CAST(CAST(pg_snapshot_xmax(now) AS text) AS bigint) AS begun
    FROM pg_current_snapshot() AS now
""")


async def settled_marks(connection: AsyncConnection) -> tuple[AlertMark, AlertMark]:
    """The mark before which no more alerts will appear, and the first that no alert has yet.

    An alert becomes visible when its transaction ends, and transactions end in another order than they begin, so a
    poller that went by dates or ids would miss one that is still being written. Transactions are numbered, and Postgres
    knows the lowest one that is open: all with lower numbers are over. This needs neither clocks nor waiting.
    """
    row = (await connection.execute(_SETTLED)).one()
    return (row.settled, _FIRST), (row.begun, _FIRST)


def _narrow(query: Select[Any], wanted: AlertFilter) -> Select[Any]:
    if wanted.account_id is not None:
        query = query.where(alerts.c.account_id == wanted.account_id)
    if wanted.rule is not None:
        query = query.where(or_(alerts.c.rule == wanted.rule, cast(alerts.c.rule_id, Text) == wanted.rule))
    if wanted.state is not None:
        query = query.where(alerts.c.state == wanted.state)
    if wanted.digest is not None:
        query = query.where(alerts.c.digest_id == wanted.digest)
    return query
