"""A stored score to be read, with what says whether it still holds."""

from datetime import date, datetime

from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.scorecards import Band


class StoredScore(Struct, frozen=True, gc=False):
    """An account's row. `readings` is what `scores.encode_readings` kept; null until first evaluated.

    `is_due` says that the account has yet to be looked at again: its day has ended, or what it is judged by changed.
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
    usage_at: datetime | None
    ticket_at: datetime | None
    survey_at: datetime | None
    is_due: bool


_GET = text("""
    SELECT s.account_id, s.score, s.band, s.coverage, s.day, s.evaluated_at, s.scorecard, s.scorecard_version,
           CAST(s.readings AS text), u.newest_at, t.newest_at, v.newest_at, s.due_at <= :now
    FROM scores s
    LEFT JOIN usage_states u ON u.account_id = s.account_id
    LEFT JOIN ticket_states t ON t.account_id = s.account_id
    LEFT JOIN survey_states v ON v.account_id = s.account_id
    WHERE s.account_id = :id
""")


async def get(connection: AsyncConnection, account_id: str, now: datetime) -> StoredScore | None:
    """The score of one account, or None."""
    row = (await connection.execute(_GET, {"id": account_id, "now": now})).one_or_none()
    return StoredScore(*row) if row else None
