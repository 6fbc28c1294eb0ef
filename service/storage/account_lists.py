"""Accounts to be read: one, or page by page by account id, score or time of evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import ColumnElement, Select, and_, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.tables import accounts, scores

Sort = Literal["account_id", "-account_id", "score", "-score", "evaluated_at", "-evaluated_at"]
Key = tuple[Any, str]
"""Where a page ended: the value that the list is sorted by, and the account id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account's attributes and the score that is stored for it."""

    account_id: str
    name: str | None
    segment: str | None
    stage: str | None
    owner: str | None
    seats: int | None
    arr: Decimal | None
    started_on: date | None
    renews_on: date | None
    churned_on: date | None
    parent_id: str | None
    created_at: datetime
    score: float | None
    band: str
    coverage: float
    day: date | None
    evaluated_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which accounts; None takes all. Of several values, one has to match. Scores include both ends."""

    bands: Sequence[str] | None = None
    segments: Sequence[str] | None = None
    stages: Sequence[str] | None = None
    owners: Sequence[str] | None = None
    min_score: float | None = None
    max_score: float | None = None
    evaluated_since: datetime | None = None


_TABLES = {"created_at": accounts, **dict.fromkeys(("score", "band", "coverage", "day", "evaluated_at"), scores)}
_COLUMNS = [_TABLES.get(name, accounts).c[name] for name in Account.__dataclass_fields__]
_JOINED = select(*_COLUMNS).join_from(accounts, scores, accounts.c.account_id == scores.c.account_id)


async def get(connection: AsyncConnection, account_id: str) -> Account | None:
    """One account, or None."""
    row = (await connection.execute(_JOINED.where(accounts.c.account_id == account_id))).one_or_none()
    return Account(**row._mapping) if row else None


async def page(
    connection: AsyncConnection, wanted: Filter, *, sort: Sort, after: Key | None, limit: int
) -> list[Account]:
    """Up to `limit` accounts that follow `after`. A leading `-` sorts downwards; accounts without a value come last.

    Equal values follow each other by account id, upwards, so that no account is missed or repeated.
    """
    query = _narrow(_JOINED, wanted).limit(limit)
    descending = sort.startswith("-")
    name = sort.removeprefix("-")
    if name == "account_id":
        query = _by_id(query, descending, after)
    else:
        query = _by_value(query, scores.c[name], descending, after)
    return [Account(**row._mapping) for row in await connection.execute(query)]


def key_of(account: Account, sort: Sort) -> Key:
    """The `after` that continues behind `account`."""
    return getattr(account, sort.removeprefix("-")), account.account_id


def _narrow(query: Select[Any], wanted: Filter) -> Select[Any]:
    one_of = {
        scores.c.band: wanted.bands,
        accounts.c.segment: wanted.segments,
        accounts.c.stage: wanted.stages,
        accounts.c.owner: wanted.owners,
    }
    for column, values in one_of.items():
        if values is not None:
            query = query.where(column.in_(values))
    if wanted.min_score is not None:
        query = query.where(scores.c.score >= wanted.min_score)
    if wanted.max_score is not None:
        query = query.where(scores.c.score <= wanted.max_score)
    if wanted.evaluated_since is not None:
        query = query.where(scores.c.evaluated_at >= wanted.evaluated_since)
    return query


def _by_id(query: Select[Any], descending: bool, after: Key | None) -> Select[Any]:
    column = accounts.c.account_id
    if after is not None:
        query = query.where(column < after[1] if descending else column > after[1])
    return query.order_by(column.desc() if descending else column)


def _by_value(query: Select[Any], column: ColumnElement[Any], descending: bool, after: Key | None) -> Select[Any]:
    if after is not None:
        query = query.where(_behind(column, descending, *after))
    order = column.desc() if descending else column.asc()
    return query.order_by(order.nulls_last(), accounts.c.account_id)


def _behind(column: ColumnElement[Any], descending: bool, value: Any, account_id: str) -> ColumnElement[bool]:
    next_id = accounts.c.account_id > account_id
    if value is None:
        return and_(column.is_(None), next_id)
    last = literal(value, column.type)
    further = column < last if descending else column > last
    return or_(further, and_(column == last, next_id), column.is_(None))
