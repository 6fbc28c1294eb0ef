"""Reads a stored score with everything answered beside it: whether it still holds, earlier scores, and the firing
alerts. One statement, as nothing is requested as often.
"""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
import structlog
from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from scoring.scorecards.scorecard import Band
from service.storage.alerts.alerts import firing_of
from service.storage.database.batched_reads import BatchedReads

log = structlog.get_logger(__name__)


class FiringAlert(Struct, frozen=True):
    """An alert that fires now, since `created_at`."""

    id: UUID
    rule_id: UUID | None
    rule: str
    type: str
    sequence: int
    created_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    snoozed_until: datetime | None


class Freshness(Struct, frozen=True):
    """The time of the newest event of each kind; null if there was none."""

    usage: datetime | None
    ticket: datetime | None
    survey: datetime | None


_decode_alerts = msgspec.json.Decoder(list[FiringAlert]).decode


class StoredScore(Struct, frozen=True, gc=False):
    """An account's row as of `read_at`. `readings` and `override` are encoded; the score's fields are null until first
    evaluated.

    `day` is a day number. From `due_at` on the account has yet to be evaluated again: its day has ended, or a rule
    waits for this instant. `week_ago` and `month_ago` are its scores 7 and 30 days before the day of reading. `firing`
    are the firing alerts, as a JSON array; null if there are none.
    """

    account_id: str
    score: float | None
    band: Band
    coverage: float
    day: int | None
    evaluated_at: datetime | None
    scorecard: str | None
    scorecard_version: int | None
    readings: str | None
    override: str | None
    usage_at: datetime | None
    ticket_at: datetime | None
    survey_at: datetime | None
    due_at: datetime
    week_ago: float | None
    month_ago: float | None
    firing: str | None
    read_at: datetime

    @property
    def freshness(self) -> Freshness:
        """The times of the newest events."""
        return Freshness(self.usage_at, self.ticket_at, self.survey_at)

    @property
    def firing_alerts(self) -> list[FiringAlert]:
        """The alerts that fire."""
        return _decode_alerts(self.firing) if self.firing else []


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
    SELECT s.account_id, s.score, s.band, s.coverage, s.day - date '1970-01-01', s.evaluated_at, s.scorecard,
           s.scorecard_version, s.readings::text, s.override::text, s.usage_at, t.newest_at, v.newest_at, s.due_at,
           {_scored(_WEEK_AGO, "week")}, {_scored(_MONTH_AGO, "month")}, firing.alerts, $2::timestamptz
    FROM unnest($1::text[]) AS ids (account_id)
    JOIN scores s ON s.account_id = ids.account_id
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
    """Reads scores like `get`, but many at once, the fastest way."""

    def __init__(self, reads: AsyncEngine, clock: Callable[[], datetime]) -> None:
        """`clock` returns the time at which a score is read."""
        self._reads = reads
        self._clock = clock
        self._batched = BatchedReads(reads, STATEMENT, self._values)

    async def get(self, account_id: str) -> StoredScore | None:
        """The score of one account, or None."""
        try:
            return _score(await self._batched.row(account_id))
        except Exception as error:  # noqa: BLE001 - if it lasts, the ordinary way meets it too, and says so
            log.debug("direct_read_failed", error=type(error).__name__)
        async with self._reads.connect() as connection:
            return await get(connection, account_id, self._clock())

    async def close(self) -> None:
        """Close the connections."""
        await self._batched.close()

    def _values(self) -> tuple[datetime, date]:
        now = self._clock()
        return now, now.date()


def _score(row: Sequence[Any] | None) -> StoredScore | None:
    return StoredScore(*row) if row else None
