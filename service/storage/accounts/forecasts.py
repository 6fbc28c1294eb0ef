"""Forecasts: the day on which each rule that doesn't fire yet will begin to, if an account stays silent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.accounts.account_filter import AccountFilter
from service.storage.database.bulk_parameters import unnest_parameters

# --- The cycle through all accounts -----------------------------------------------------------------------------


class ForecastCycle(NamedTuple):
    """The state of the cycle: the last account that was forecast, empty at its start, and when it started."""

    cursor: str
    began_at: datetime


_BEGIN = text("INSERT INTO forecast_cycle (id, began_at, due_at) VALUES (1, :now, :now) ON CONFLICT DO NOTHING")
_LOCK_CYCLE = text("SELECT cursor, began_at FROM forecast_cycle WHERE due_at <= :now FOR UPDATE SKIP LOCKED")
_SAVE_CYCLE = text("UPDATE forecast_cycle SET cursor = :cursor, began_at = :began_at, due_at = :due_at")
_FOLLOWING = text("SELECT account_id FROM scores WHERE account_id > :cursor ORDER BY account_id LIMIT :limit")


async def lock_cycle(connection: AsyncConnection, now: datetime) -> ForecastCycle | None:
    """Lock the cycle for a step; None if another process has it, or it rests at `now`."""
    await connection.execute(_BEGIN, {"now": now})
    row = (await connection.execute(_LOCK_CYCLE, {"now": now})).one_or_none()
    return ForecastCycle(*row) if row else None


async def next_accounts(connection: AsyncConnection, cursor: str, limit: int) -> list[str]:
    """The next accounts after `cursor`, in order."""
    return list((await connection.execute(_FOLLOWING, {"cursor": cursor, "limit": limit})).scalars())


async def save_cycle(connection: AsyncConnection, turn: ForecastCycle, due_at: datetime) -> None:
    """Save the state of the cycle, in the transaction that locked it, and the time until which it rests."""
    await connection.execute(_SAVE_CYCLE, {**turn._asdict(), "due_at": due_at})


# --- What was forecast ------------------------------------------------------------------------------------------


class ForecastRow(NamedTuple):
    """A rule that will begin to fire for an account on a day, and the score it will have then."""

    account_id: str
    rule_id: UUID
    day: date
    score: float | None


# Accounts locked by others are being changed, or erased: they are skipped, so that nobody waits.
_LOCK = text("SELECT account_id FROM scores WHERE account_id = ANY(:ids) FOR KEY SHARE SKIP LOCKED")

_SAVE = text("""
    INSERT INTO forecast_crossings (account_id, rule_id, day, score, made_at)
    SELECT account_id, rule_id, day, score, CAST(:now AS timestamptz)
    FROM unnest(CAST(:account_id AS text[]), CAST(:rule_id AS uuid[]), CAST(:day AS date[]), CAST(:score AS float8[]))
         AS new (account_id, rule_id, day, score)
    ON CONFLICT (account_id, rule_id)
    DO UPDATE SET day = excluded.day, score = excluded.score, made_at = excluded.made_at
""")

_DROP_OLD = text("DELETE FROM forecast_crossings WHERE account_id = ANY(:ids) AND made_at <> :now")


async def replace(
    connection: AsyncConnection, account_ids: Sequence[str], rows: Sequence[ForecastRow], now: datetime
) -> None:
    """Replace the forecasts of the accounts by `rows`, except those of accounts that others have locked."""
    locked = set((await connection.execute(_LOCK, {"ids": list(account_ids)})).scalars())
    if ours := [row for row in rows if row.account_id in locked]:
        await connection.execute(_SAVE, {**unnest_parameters(ours), "now": now})
    await connection.execute(_DROP_OLD, {"ids": list(locked), "now": now})


async def clear(connection: AsyncConnection) -> None:
    """Delete all forecasts."""
    await connection.execute(text("DELETE FROM forecast_crossings"))


# --- The list of what is coming ---------------------------------------------------------------------------------

ForecastKey = tuple[date, str, UUID]
"""A forecast's place in the list: by day, account and rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpcomingFilter:
    """The forecasts of these rules, for days from `first` to `last`, for these accounts."""

    rules: Sequence[UUID]
    first: date
    last: date
    accounts: AccountFilter


class StoredForecast(NamedTuple):
    """A forecast that was made at `made_at`."""

    account_id: str
    rule_id: UUID
    day: date
    made_at: datetime

    @property
    def key(self) -> ForecastKey:
        """The forecast's place in the list."""
        return self.day, self.account_id, self.rule_id


async def page(
    connection: AsyncConnection, wanted: UpcomingFilter, *, after: ForecastKey | None, limit: int
) -> list[StoredForecast]:
    """Up to `limit` forecasts that follow `after`, by day, account and rule."""
    parameters: dict[str, Any] = {
        **wanted.accounts.parameters(),
        "rules": list(wanted.rules),
        "first": wanted.first,
        "last": wanted.last,
        "limit": limit,
    }
    if after is not None:
        parameters |= zip(("after_day", "after_account", "after_rule"), after, strict=True)
    found = await connection.execute(text(_page_sql(wanted.accounts, after)), parameters)
    return list(map(StoredForecast._make, found))


def _page_sql(accounts: AccountFilter, after: ForecastKey | None) -> str:
    attributes, scores = accounts.attribute_conditions(), accounts.score_conditions()
    conditions = ["f.day BETWEEN :first AND :last", "f.rule_id = ANY(:rules)", *attributes, *scores]
    if after is not None:
        conditions.append("(f.day, f.account_id, f.rule_id) > (:after_day, :after_account, :after_rule)")
    joins = "JOIN accounts a ON a.account_id = f.account_id " if attributes else ""
    joins += "JOIN listed_accounts l ON l.account_id = f.account_id" if scores else ""
    return f"""
        SELECT f.account_id, f.rule_id, f.day, f.made_at FROM forecast_crossings f {joins}
        WHERE {" AND ".join(conditions)} ORDER BY f.day, f.account_id, f.rule_id LIMIT :limit
    """  # noqa: S608 - made of this package's own text
