"""Alerts to be read: newest first for people, or from a position on for pollers that must miss none."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, Text, cast, or_, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.tables import alerts

Position = tuple[datetime, UUID]
"""An alert's place in the order of creation: `created_at` and `id`."""

_place: ColumnElement[Any] = tuple_(alerts.c.created_at, alerts.c.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which alerts; None takes all. `rule` is a rule's id or its name at the time."""

    account_id: str | None = None
    rule: str | None = None
    state: str | None = None
    digest: UUID | None = None


async def get(connection: AsyncConnection, alert_id: UUID) -> Row[Any] | None:
    """One alert, or None."""
    return (await connection.execute(select(alerts).where(alerts.c.id == alert_id))).one_or_none()


async def newest(
    connection: AsyncConnection, wanted: Filter, *, before: Position | None, limit: int
) -> Sequence[Row[Any]]:
    """Up to `limit` alerts, newest first, from before a position."""
    query = _narrow(select(alerts), wanted)
    if before is not None:
        query = query.where(_place < before)
    query = query.order_by(alerts.c.created_at.desc(), alerts.c.id.desc()).limit(limit)
    rows: Sequence[Row[Any]] = (await connection.execute(query)).all()
    return rows


async def since(
    connection: AsyncConnection, wanted: Filter, *, after: Position, until: datetime, limit: int
) -> Sequence[Row[Any]]:
    """Up to `limit` alerts, oldest first, from after a position and before `until`, which is what `settled` gave."""
    query = _narrow(select(alerts), wanted).where(_place > after, alerts.c.created_at < until)
    query = query.order_by(alerts.c.created_at, alerts.c.id).limit(limit)
    rows: Sequence[Row[Any]] = (await connection.execute(query)).all()
    return rows


_SETTLED = text("""
    SELECT least(statement_timestamp(), min(xact_start)) - interval '2 seconds' FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'account-health%'
""")


async def settled(connection: AsyncConnection) -> datetime:
    """The moment before which no more alerts will appear.

    An alert is dated when its transaction begins and seen when that ends, so a poller that went by dates alone would
    run past one that is still being written. The two seconds allow for clocks that disagree. Transactions of another
    database role can't be seen, so all processes have to use one.
    """
    moment: datetime = (await connection.execute(_SETTLED)).scalar_one()
    return moment


def _narrow(query: Select[Any], wanted: Filter) -> Select[Any]:
    if wanted.account_id is not None:
        query = query.where(alerts.c.account_id == wanted.account_id)
    if wanted.rule is not None:
        query = query.where(or_(alerts.c.rule == wanted.rule, cast(alerts.c.rule_id, Text) == wanted.rule))
    if wanted.state is not None:
        query = query.where(alerts.c.state == wanted.state)
    if wanted.digest is not None:
        query = query.where(alerts.c.digest_id == wanted.digest)
    return query
