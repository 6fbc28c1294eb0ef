"""A stored score to be read, with what says whether it still holds, and what the account scored before."""

from datetime import date, datetime

from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.scorecards import Band


class StoredScore(Struct, frozen=True, gc=False):
    """An account's row. `readings` and `override` are as encoded; what is of the score is null until first evaluated.

    `is_due` says that the account has yet to be looked at again: its day has ended, or a rule waits for this instant.
    `week_ago` and `month_ago` are its scores 7 and 30 days before the day it is read on.
    """

    account_id: str
    score: float | None
    band: Band
    coverage: float
    day: date | None
    evaluated_at: datetime | None
    scorecard: str | None
    scorecard_version: int | None
    readings: str | None
    override: str | None
    usage_at: datetime | None
    ticket_at: datetime | None
    survey_at: datetime | None
    is_due: bool
    week_ago: float | None
    month_ago: float | None


def _scored(day: str, alias: str) -> str:
    """The score of a day: of the first run that ended on it or later, else of what stands, if that goes back so far."""
    return f"""
        CASE WHEN {alias}.since IS NULL THEN CASE WHEN s.since <= {day} THEN s.score END
             WHEN {alias}.since <= {day} THEN {alias}.score END"""


def _run(day: str, alias: str) -> str:
    return f"""
    LEFT JOIN LATERAL (
        SELECT since, score FROM history WHERE account_id = :id AND day >= {day} ORDER BY day LIMIT 1
    ) {alias} ON true"""  # noqa: S608 - made of this module's own text


_WEEK_AGO, _MONTH_AGO = "CAST(:day AS date) - 7", "CAST(:day AS date) - 30"

_GET = text(f"""
    SELECT s.account_id, s.score, s.band, s.coverage, s.day, s.evaluated_at, s.scorecard, s.scorecard_version,
           CAST(s.readings AS text), CAST(s.override AS text), u.newest_at, t.newest_at, v.newest_at, s.due_at <= :now,
           {_scored(_WEEK_AGO, "week")}, {_scored(_MONTH_AGO, "month")}
    FROM scores s
    LEFT JOIN usage_states u ON u.account_id = s.account_id
    LEFT JOIN ticket_states t ON t.account_id = s.account_id
    LEFT JOIN survey_states v ON v.account_id = s.account_id
    {_run(_WEEK_AGO, "week")}
    {_run(_MONTH_AGO, "month")}
    WHERE s.account_id = :id
""")  # noqa: S608 - as above


async def get(connection: AsyncConnection, account_id: str, now: datetime) -> StoredScore | None:
    """The score of one account, or None."""
    row = (await connection.execute(_GET, {"id": account_id, "now": now, "day": now.date()})).one_or_none()
    return StoredScore(*row) if row else None
