"""History to be read: an account's runs of days, and what it scored on a day."""

from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.scorecards import Band


class StoredRun(NamedTuple):
    """A run as it is kept, from day number `since` to `day`; `readings`, `journal` and `override` are as encoded."""

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


RUNS = text("""
    SELECT day - date '1970-01-01', since - date '1970-01-01', score, band, coverage, scorecard, scorecard_version,
           CAST(readings AS text), journal, CAST(override AS text)
    FROM history
    WHERE account_id = :id AND day >= date '1970-01-01' + CAST(:first AS int)
    ORDER BY day
""")


async def runs(connection: AsyncConnection, account_id: str, first: int) -> list[StoredRun]:
    """The runs that ended, from the one that holds the day number `first` on, in order of time."""
    return list(map(StoredRun._make, await connection.execute(RUNS, {"id": account_id, "first": first})))
