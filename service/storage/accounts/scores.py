"""Scores: a row per account with the readings of its measures, from which all else follows, and its state of usage."""

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.state.calendar import from_day, from_micros, start_of
from service.storage.database.bulk_parameters import unnest_parameters


class ScoreRow(NamedTuple):
    """A score to save; `readings` and `journal` are encoded, `since` is a day number.

    `usage` is the encoded state of usage, if it has changed too, `usage_at` the time of its newest event (microseconds;
    0 for none), and `usage_source` the sender of that.
    """

    account_id: str
    score: float | None
    band: str
    coverage: float
    readings: str
    since: int
    journal: bytes | None
    usage: bytes | None = None
    usage_at: int = 0
    usage_source: str = ""


class ScoreBasis(NamedTuple):
    """The scorecard, and the day (a day number), that a score was made with."""

    day: int
    scorecard: str
    version: int


# Rows with the same day and scorecard, almost always all of them, share a statement: values that aren't sent row by row
# needn't be encoded, parsed and compared row by row. Nor is a state of usage sent that hasn't changed.
_COLUMNS = {
    "account_id": "string_to_array(:account_id, chr(31))",
    "score": "CAST(CAST(:score AS text) AS float8[])",
    "band": "string_to_array(:band, chr(31))",
    "coverage": "CAST(CAST(:coverage AS text) AS float8[])",
    "readings": "string_to_array(:readings, chr(31))",
    "since": "CAST(CAST(:since AS text) AS int[])",
    "journal": "CAST(:journal AS bytea[])",
}
_USAGE_COLUMNS = {
    "usage": "CAST(:usage AS bytea[])",
    "usage_at": "CAST(CAST(:usage_at AS text) AS bigint[])",
    "usage_source": "CAST(CAST(:usage_source AS text) AS text[])",
}
_TEXTS, _NUMBERS = ("account_id", "band", "readings"), ("score", "coverage", "since", "usage_at")
_REPEATED = ("usage_source",)
_VALUES = {
    "readings": "CAST(new.readings AS json)",
    "since": "date '1970-01-01' + new.since",
    "usage_at": "to_timestamp(nullif(new.usage_at, 0) / 1000000.0::float8)",
    "day": "CAST(:day AS date)",
    "scorecard": "CAST(:scorecard AS text)",
    "scorecard_version": "CAST(:version AS int)",
    "evaluated_at": "CAST(:now AS timestamptz)",
    "due_at": "CAST(:due_at AS timestamptz)",
}
"""Values that aren't a column of `new` as it is."""
_SHARED = ("day", "scorecard", "scorecard_version", "evaluated_at", "due_at")


class _Statements(NamedTuple):
    """SQL that saves scores."""

    update: TextClause
    insert: TextClause


def _statements(columns: Mapping[str, str]) -> _Statements:
    new = f"unnest({', '.join(columns.values())}) AS new ({', '.join(columns)})"
    values = {name: _VALUES.get(name, f"new.{name}") for name in (*columns, *_SHARED)}
    changed = ", ".join(f"{name} = {value}" for name, value in values.items() if name != "account_id")
    return _Statements(
        text(f"UPDATE scores SET {changed} FROM {new} WHERE scores.account_id = new.account_id"),  # noqa: S608 - own text
        text(f"INSERT INTO scores ({', '.join(values)}) SELECT {', '.join(values.values())} FROM {new}"),  # noqa: S608 - own text
    )


_SCORES_ALONE, _WITH_USAGE = _statements(_COLUMNS), _statements({**_COLUMNS, **_USAGE_COLUMNS})


async def save(
    connection: AsyncConnection, basis: ScoreBasis, rows: Sequence[ScoreRow], new: AbstractSet[str], now: datetime
) -> None:
    """Save the scores of accounts that this transaction has locked; those in `new` have none yet.

    They are due again when the day has ended.
    """
    shared = {
        "day": from_day(basis.day),
        "scorecard": basis.scorecard,
        "version": basis.version,
        "now": now,
        "due_at": from_micros(start_of(basis.day + 1)),
    }
    for statements, of_kind in (
        (_WITH_USAGE, [row for row in rows if row.usage is not None]),
        (_SCORES_ALONE, [row for row in rows if row.usage is None]),
    ):
        for statement, some in (
            (statements.update, [row for row in of_kind if row.account_id not in new] if new else of_kind),
            (statements.insert, [row for row in of_kind if row.account_id in new] if new else ()),
        ):
            if some:
                await connection.execute(statement, {**shared, **unnest_parameters(some, _TEXTS, _NUMBERS, _REPEATED)})


class MemoryRow(NamedTuple):
    """The rules' memory of an account, the number of its last alert, and when it is due (microseconds)."""

    account_id: str
    rule_memory: bytes | None
    sequence: int
    due_at: int


_SAVE_RULE_MEMORY = text("""
    UPDATE scores SET rule_memory = new.rule_memory, sequence = new.sequence,
                      due_at = to_timestamp(new.due_at / 1000000.0::float8)
    FROM unnest(CAST(:account_id AS text[]), CAST(:rule_memory AS bytea[]), CAST(:sequence AS bigint[]),
                CAST(:due_at AS bigint[])) AS new (account_id, rule_memory, sequence, due_at)
    WHERE scores.account_id = new.account_id
""")


async def save_rule_memory(connection: AsyncConnection, rows: Sequence[MemoryRow]) -> None:
    """Save the rules' memory, after `save`, for the few accounts where it changed or something is pending."""
    if rows:
        await connection.execute(_SAVE_RULE_MEMORY, unnest_parameters(rows))


class OverrideRow(NamedTuple):
    """An account's override, encoded, or None to remove it."""

    account_id: str
    override: str | None


_OVERRIDE = text("""
    UPDATE scores SET override = CAST(new.override AS json)
    FROM unnest(CAST(:account_id AS text[]), CAST(:override AS text[])) AS new (account_id, override)
    WHERE scores.account_id = new.account_id
""")


async def save_overrides(connection: AsyncConnection, rows: Sequence[OverrideRow]) -> None:
    """Save the overrides, after `save`, for the few accounts where one was set or has ended."""
    if rows:
        await connection.execute(_OVERRIDE, unnest_parameters(rows))


_CLAIM = text("""
    SELECT account_id FROM scores WHERE due_at <= :now AND account_id <> ALL(CAST(:without AS text[]))
    ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
""")

_POSTPONE = text("""
    UPDATE scores SET due_at = :until WHERE account_id = :account_id AND (due_at <= :now OR due_at > :until)
""")

_BACKLOG = text("""
    SELECT count(*) AS accounts,
           coalesce(CAST(extract(epoch FROM CAST(:now AS timestamptz) - min(due_at)) AS float8), 0) AS oldest
    FROM scores WHERE due_at <= :now
""")


class Backlog(NamedTuple):
    """The number of accounts that are due, and the seconds that the longest-waiting one has been."""

    accounts: int
    oldest: float


async def claim_due(connection: AsyncConnection, now: datetime, limit: int, without: Collection[str] = ()) -> list[str]:
    """Lock up to `limit` accounts that are due by `now`, skipping those locked by others, and `without`."""
    values = {"now": now, "limit": limit, "without": list(without)}
    return list((await connection.execute(_CLAIM, values)).scalars())


async def postpone(connection: AsyncConnection, account_id: str, now: datetime, until: datetime) -> bool:
    """Make an account due at `until`, if it is due by `now` or only later; returns whether that changed anything."""
    result = await connection.execute(_POSTPONE, {"account_id": account_id, "now": now, "until": until})
    return bool(result.rowcount)


async def backlog(connection: AsyncConnection, now: datetime) -> Backlog:
    """The accounts that are due by `now`."""
    return Backlog._make((await connection.execute(_BACKLOG, {"now": now})).one())
