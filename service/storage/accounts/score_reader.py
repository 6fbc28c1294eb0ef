"""Reads a stored score with everything answered beside it: whether it still holds, earlier scores, and the firing
alerts. One statement, as nothing is requested as often.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from scoring.scorecards.scorecard import Band
from service.storage.alerts.alerts import firing_of
from service.storage.database.batched_reads import BatchedReads


class StoredScore(Struct, frozen=True, gc=False):
    """An account's row. `readings` and `override` are encoded; the score's fields are null until first evaluated.

    `is_due` means that the account has yet to be evaluated again: its day has ended, or a rule waits for this instant.
    `is_ahead` means that it was evaluated on a day in the future, by a wrong clock. `week_ago` and `month_ago` are its
    scores 7 and 30 days before the day of reading. `firing` are the firing alerts, as a JSON array; null if there are
    none.
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
    is_ahead: bool
    week_ago: float | None
    month_ago: float | None
    firing: str | None


_WEEK_AGO, _MONTH_AGO = "$3::date - 7", "$3::date - 30"


def _scored(day: str, alias: str) -> str:
    """The score of a day: the current one, if it goes back so far, else that of the first run that ended on that day
    or later.
    """
    return f"CASE WHEN s.since <= {day} THEN s.score WHEN {alias}.since <= {day} THEN {alias}.score END"


def _run(day: str, alias: str) -> str:
    # Only history from `day` on is read: Postgres skips the partitions before it.
    return f"""
    LEFT JOIN LATERAL (
        SELECT since, score FROM history
        WHERE account_id = s.account_id AND day >= {day} AND s.since > {day} ORDER BY day LIMIT 1
    ) {alias} ON true"""  # noqa: S608 - made of this module's own text


def _instant(column: str) -> str:
    """An instant in UTC, whatever the server's time zone is."""
    return f"""'{column}', to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')"""


# Most accounts never had an alert; for those no alerts are searched.
_FIRING = f"""
    LEFT JOIN LATERAL (
        SELECT CAST(json_agg(json_build_object(
            'id', id, 'rule_id', rule_id, 'rule', rule, 'type', type, 'sequence', sequence, {_instant("created_at")},
            {_instant("acknowledged_at")}, 'acknowledged_by', acknowledged_by, {_instant("snoozed_until")}
        ) ORDER BY sequence) AS text) AS alerts
        FROM ({firing_of("CASE WHEN s.sequence > 0 THEN s.account_id END")}) alerts
    ) firing ON true"""  # noqa: S608 - as above

STATEMENT = f"""
    SELECT s.account_id, s.score, s.band, s.coverage, s.day, s.evaluated_at, s.scorecard, s.scorecard_version,
           s.readings::text, s.override::text, u.newest_at, t.newest_at, v.newest_at, s.due_at <= $2,
           s.day > CAST(($2::timestamptz + interval '5 minutes') AT TIME ZONE 'UTC' AS date),
           {_scored(_WEEK_AGO, "week")}, {_scored(_MONTH_AGO, "month")}, firing.alerts
    FROM unnest($1::text[]) AS ids (account_id)
    JOIN scores s ON s.account_id = ids.account_id
    LEFT JOIN usage_states u ON u.account_id = s.account_id
    LEFT JOIN ticket_states t ON t.account_id = s.account_id
    LEFT JOIN survey_states v ON v.account_id = s.account_id
    {_run(_WEEK_AGO, "week")}
    {_run(_MONTH_AGO, "month")}
    {_FIRING}
"""  # noqa: S608 - as above
"""Takes the ids of accounts, the time, and its day."""


async def get(connection: AsyncConnection, account_id: str, now: datetime) -> StoredScore | None:
    """The score of one account, or None."""
    return _score((await connection.exec_driver_sql(STATEMENT, ([account_id], now, now.date()))).one_or_none())


class ScoreReader:
    """Reads scores like `get`, but the fastest way, for many accounts at once. Raises the driver's errors."""

    def __init__(self, engine: AsyncEngine, clock: Callable[[], datetime]) -> None:
        """`clock` returns the time at which a score is read."""
        self._clock = clock
        self._read = BatchedReads(engine, STATEMENT, self._values)

    async def get(self, account_id: str) -> StoredScore | None:
        """The score of one account, or None."""
        return _score(await self._read.row(account_id))

    async def close(self) -> None:
        """Close the connections."""
        await self._read.close()

    def _values(self) -> tuple[datetime, date]:
        now = self._clock()
        return now, now.date()


def _score(row: Sequence[Any] | None) -> StoredScore | None:
    return StoredScore(*row) if row else None
