"""Accounts: their attributes, a lock for manual changes to one, and the erasure of all data about one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, Date, Integer, LargeBinary, Numeric, Text, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.state.account_state import encode
from scoring.state.attributes import AttributeState
from scoring.state.events import ATTRIBUTES
from service.storage.accounts.listing import projection


@dataclass(frozen=True, slots=True)
class AccountRecord:
    """An account's attributes, its stored score, and when lists last began to show another score or band."""

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
    changed_at: datetime
    scorecard: str | None = None
    scorecard_version: int | None = None


_OF_SCORES = ("score", "band", "coverage", "day", "evaluated_at", "scorecard", "scorecard_version")

# An account that the version before has just created isn't listed yet.
_SPECIAL = {"changed_at": "coalesce(l.changed_at, a.created_at)", **{name: f"s.{name}" for name in _OF_SCORES}}

RECORD_COLUMNS = ", ".join(_SPECIAL.get(name, f"a.{name}") for name in AccountRecord.__dataclass_fields__)
"""The fields as SQL, of `accounts a`, `scores s` and `listed_accounts l`."""

_ONE = text(f"""
    SELECT {RECORD_COLUMNS} FROM accounts a JOIN scores s ON s.account_id = a.account_id
    LEFT JOIN listed_accounts l ON l.account_id = a.account_id WHERE a.account_id = :id
""")  # noqa: S608 - made of this module's own text


async def get(connection: AsyncConnection, account_id: str) -> AccountRecord | None:
    """One account, or None."""
    found = (await connection.execute(_ONE, {"id": account_id})).one_or_none()
    return AccountRecord(*found) if found else None


_PARSERS = {
    "seats": lambda value: value,
    "arr": Decimal,
    "started_on": date.fromisoformat,
    "renews_on": date.fromisoformat,
    "churned_on": date.fromisoformat,
}
_TYPES = {"seats": Integer, "arr": Numeric, "started_on": Date, "renews_on": Date, "churned_on": Date}
_SQL_TYPES = {"seats": "int", "arr": "numeric", "started_on": "date", "renews_on": "date", "churned_on": "date"}

_SAVE = text(f"""
    UPDATE accounts SET registers = new.registers, {", ".join(f"{name} = new.{name}" for name in ATTRIBUTES)}
    FROM unnest(CAST(:account_id AS text[]), CAST(:registers AS bytea[]),
                {", ".join(f"CAST(:{name} AS {_SQL_TYPES.get(name, 'text')}[])" for name in ATTRIBUTES)})
         AS new (account_id, registers, {", ".join(ATTRIBUTES)})
    WHERE accounts.account_id = new.account_id
""").bindparams(  # noqa: S608 - made of this module's own names
    bindparam("account_id", type_=ARRAY(Text)),
    bindparam("registers", type_=ARRAY(LargeBinary)),
    *(bindparam(name, type_=ARRAY(_TYPES.get(name, Text))) for name in ATTRIBUTES),
)

# The version before lists accounts by these columns of `scores`.
_SAVE_BESIDE_SCORES = text("""
    UPDATE scores SET segment = new.segment, stage = new.stage, owner = new.owner
    FROM unnest(CAST(:account_id AS text[]), CAST(:segment AS text[]), CAST(:stage AS text[]), CAST(:owner AS text[]))
         AS new (account_id, segment, stage, owner)
    WHERE scores.account_id = new.account_id
      AND (scores.segment, scores.stage, scores.owner) IS DISTINCT FROM (new.segment, new.stage, new.owner)
""")


async def save_attributes(connection: AsyncConnection, attributes: Mapping[str, AttributeState]) -> None:
    """Save the registers of accounts that this transaction has locked, and the columns derived from them.

    Their scores must have been inserted, and their rows for lists.
    """
    if not attributes:
        return
    columns: dict[str, list[Any]] = {
        "account_id": list(attributes),
        "registers": [encode(state) for state in attributes.values()],
    }
    for name in ATTRIBUTES:
        parse = _PARSERS.get(name, str)
        values = (state.value(name) for state in attributes.values())
        columns[name] = [None if value is None else parse(value) for value in values]
    await connection.execute(_SAVE, columns)
    beside = {name: columns[name] for name in ("account_id", "segment", "stage", "owner")}
    await connection.execute(_SAVE_BESIDE_SCORES, beside)
    await projection.save_attributes(connection, beside)


_DEPARTURES = text("SELECT account_id, churned_on FROM accounts")


async def departures(connection: AsyncConnection) -> dict[str, date | None]:
    """The day on which each account with attributes left; None for one that hasn't."""
    async with connection.stream(_DEPARTURES) as rows:
        return {row.account_id: row.churned_on async for row in rows}


class LockedAccount(NamedTuple):
    """The rules' memory of an account, and its override; both encoded."""

    rule_memory: bytes | None
    override: str | None


_LOCK = text("SELECT rule_memory, CAST(override AS text) FROM scores WHERE account_id = :id FOR UPDATE")


async def lock(connection: AsyncConnection, account_id: str) -> LockedAccount | None:
    """Lock an account until the transaction ends; None if it doesn't exist."""
    row = (await connection.execute(_LOCK, {"id": account_id})).one_or_none()
    return LockedAccount(*row) if row else None


_SAVE_RULE_MEMORY = text("""
    UPDATE scores SET rule_memory = :rule_memory, due_at = least(due_at, CAST(:due_at AS timestamptz))
    WHERE account_id = :id
""")


async def save_rule_memory(
    connection: AsyncConnection, account_id: str, rule_memory: bytes | None, due_at: datetime
) -> None:
    """Save the rules' memory of a locked account; the sweeper evaluates it at `due_at`, or before."""
    await connection.execute(_SAVE_RULE_MEMORY, {"id": account_id, "rule_memory": rule_memory, "due_at": due_at})


ACCOUNT_TABLES = (
    "deliveries",
    "alerts",
    "dead_letters",
    "survey_states",
    "ticket_states",
    "history",
    "forecast_crossings",
    "churn_expectations",
    "accounts",
    "listed_accounts",
    "scores",
)
"""Every table with data about an account, in the order of erasure."""


async def erase(connection: AsyncConnection, account_id: str) -> bool:
    """Delete everything about an account; False if there was nothing."""
    await connection.execute(text("SELECT 1 FROM scores WHERE account_id = :id FOR UPDATE"), {"id": account_id})
    deleted = 0
    for table in ACCOUNT_TABLES:
        where = (
            "alert_id IN (SELECT id FROM alerts WHERE account_id = :id)"
            if table == "deliveries"
            else "account_id = :id"
        )
        statement = text(f"DELETE FROM {table} WHERE {where}")  # noqa: S608 - made of this module's own names
        deleted += (await connection.execute(statement, {"id": account_id})).rowcount
    return deleted > 0
