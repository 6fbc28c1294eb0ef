"""An account's history: its runs of days with the same contributions, written and read."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.scorecards.scorecard import Band
from service.storage.database.bulk_parameters import unnest_parameters


class HistoryRow(NamedTuple):
    """A run to save, from day number `since` to `day`; `readings`, `journal` and `override` are encoded."""

    account_id: str
    day: int
    since: int
    score: float | None
    band: str
    coverage: float
    scorecard: str
    scorecard_version: int
    readings: str
    journal: bytes | None
    override: str | None


_INSERT = text("""
    INSERT INTO history (account_id, day, since, score, band, coverage, scorecard, scorecard_version, readings, journal,
                         override, replayed)
    SELECT account_id, date '1970-01-01' + day, date '1970-01-01' + since, score, band, coverage, scorecard,
           scorecard_version, CAST(readings AS json), journal, CAST(override AS json), CAST(:replayed AS boolean)
    FROM unnest(string_to_array(:account_id, chr(31)), CAST(CAST(:day AS text) AS int[]),
                CAST(CAST(:since AS text) AS int[]), CAST(CAST(:score AS text) AS float8[]),
                string_to_array(:band, chr(31)), CAST(CAST(:coverage AS text) AS float8[]),
                string_to_array(:scorecard, chr(31)), CAST(CAST(:scorecard_version AS text) AS int[]),
                string_to_array(:readings, chr(31)), CAST(:journal AS bytea[]), CAST(:override AS text[]))
         AS new (account_id, day, since, score, band, coverage, scorecard, scorecard_version, readings, journal,
                 override)
""")


_TEXTS = ("account_id", "band", "scorecard", "readings")
_NUMBERS = ("day", "since", "score", "coverage", "scorecard_version")


async def insert(connection: AsyncConnection, rows: Sequence[HistoryRow], *, replayed: bool = False) -> None:
    """Save runs of accounts that this transaction has locked; `replayed` ones are of days before those were live."""
    if rows:
        await connection.execute(_INSERT, {**unnest_parameters(rows, _TEXTS, _NUMBERS), "replayed": replayed})


class ClosingScore(NamedTuple):
    """The score with which an account closed the days from `since` to `day` (day numbers); null if it was unknown."""

    account_id: str
    since: int
    day: int
    score: float | None


_CLOSING_SCORES = text("""
    SELECT account_id, since - date '1970-01-01', day - date '1970-01-01', score FROM history
    WHERE account_id = ANY(:ids) AND day >= date '1970-01-01' + CAST(:first AS int)
    ORDER BY account_id, day
""")


async def closing_scores(connection: AsyncConnection, account_ids: list[str], first: int) -> list[ClosingScore]:
    """The closing scores of accounts for runs that reach to the day number `first` or beyond, by account and day."""
    return list(
        map(ClosingScore._make, await connection.execute(_CLOSING_SCORES, {"ids": account_ids, "first": first}))
    )


class StoredRun(NamedTuple):
    """A stored run, from day number `since` to `day`; `readings`, `journal` and `override` are encoded."""

    day: int
    since: int
    score: float | None
    band: Band
    coverage: float
    scorecard: str
    version: int
    readings: str
    journal: bytes | None
    override: str | None
    replayed: bool


RUNS = text("""
    SELECT day - date '1970-01-01', since - date '1970-01-01', score, band, coverage, scorecard, scorecard_version,
           CAST(readings AS text), journal, CAST(override AS text), replayed
    FROM history
    WHERE account_id = :id AND day >= date '1970-01-01' + CAST(:first AS int)
    ORDER BY day
""")


async def runs(connection: AsyncConnection, account_id: str, first: int) -> list[StoredRun]:
    """The ended runs, from the one that contains the day number `first` on, in order of time."""
    return list(map(StoredRun._make, await connection.execute(RUNS, {"id": account_id, "first": first})))
