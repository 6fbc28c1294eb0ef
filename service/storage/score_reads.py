"""A stored score to be read, with what says whether it still holds."""

from datetime import date, datetime

from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.scorecards import Band


class StoredScore(Struct, frozen=True, gc=False):
    """An account's row. `measures` is what `scores.encode_measures` kept; null until first evaluated.

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
    measures: str | None
    usage_at: datetime | None
    ticket_at: datetime | None
    survey_at: datetime | None
    is_due: bool


_GET = text("""
    SELECT account_id, score, band, coverage, day, evaluated_at, scorecard, scorecard_version,
           CAST(measures AS text), usage_at, ticket_at, survey_at, due_at <= :now AS is_due
    FROM scores WHERE account_id = :id
""")


async def get(connection: AsyncConnection, account_id: str, now: datetime) -> StoredScore | None:
    """The score of one account, or None."""
    row = (await connection.execute(_GET, {"id": account_id, "now": now})).one_or_none()
    return StoredScore(*row) if row else None
