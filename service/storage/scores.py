"""Scores: one row per account, with all that the score is made of."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.scorecards import MeasureResult
from service.storage import policies


class ScoreRow(Struct, frozen=True, gc=False):
    """A row to write. Times are microseconds since 1970, 0 for never; `day` is a day number."""

    account_id: str
    score: float | None
    band: str
    coverage: float
    day: int
    scorecard: str
    scorecard_version: int
    measures: str
    usage_at: int
    ticket_at: int
    survey_at: int
    rule_memory: bytes | None
    sequence: int
    due_at: int


_measures = msgspec.json.Decoder(dict[str, MeasureResult])
_encoder = msgspec.json.Encoder()


def encode_measures(measures: dict[str, MeasureResult]) -> str:
    """The text kept in the column `measures`."""
    return _encoder.encode(measures).decode()


def decode_measures(stored: str | bytes) -> dict[str, MeasureResult]:
    """What `encode_measures` kept."""
    return _measures.decode(stored)


_SAVE = text("""
    UPDATE scores SET
        score = new.score, band = new.band, coverage = new.coverage, day = date '1970-01-01' + new.day,
        evaluated_at = :now, scorecard = new.scorecard, scorecard_version = new.scorecard_version,
        measures = CAST(new.measures AS json),
        usage_at = to_timestamp(nullif(new.usage_at, 0) / 1000000.0::float8),
        ticket_at = to_timestamp(nullif(new.ticket_at, 0) / 1000000.0::float8),
        survey_at = to_timestamp(nullif(new.survey_at, 0) / 1000000.0::float8),
        rule_memory = new.rule_memory, sequence = new.sequence,
        due_at = to_timestamp(new.due_at / 1000000.0::float8)
    FROM unnest(
        CAST(:account_id AS text[]), CAST(:score AS float8[]), CAST(:band AS text[]), CAST(:coverage AS float8[]),
        CAST(:day AS int[]), CAST(:scorecard AS text[]), CAST(:scorecard_version AS int[]),
        CAST(:measures AS text[]), CAST(:usage_at AS bigint[]), CAST(:ticket_at AS bigint[]),
        CAST(:survey_at AS bigint[]), CAST(:rule_memory AS bytea[]), CAST(:sequence AS bigint[]),
        CAST(:due_at AS bigint[])
    ) AS new (account_id, score, band, coverage, day, scorecard, scorecard_version, measures, usage_at, ticket_at,
              survey_at, rule_memory, sequence, due_at)
    WHERE scores.account_id = new.account_id
""")


async def save(connection: AsyncConnection, rows: Sequence[ScoreRow], now: datetime) -> None:
    """Write the rows of accounts that this transaction has locked."""
    if rows:
        columns = {name: [getattr(row, name) for row in rows] for name in ScoreRow.__struct_fields__}
        await connection.execute(_SAVE, {**columns, "now": now})


_MEASURES = text("SELECT account_id, CAST(measures AS text) FROM scores WHERE account_id = ANY(:ids)")


async def measures(connection: AsyncConnection, account_ids: list[str]) -> dict[str, dict[str, MeasureResult] | None]:
    """The stored measures of accounts; None where one was never evaluated."""
    rows = (await connection.execute(_MEASURES, {"ids": account_ids})).all()
    return {account_id: decode_measures(stored) if stored else None for account_id, stored in rows}


_CLAIM = text("""
    SELECT account_id FROM scores WHERE due_at <= :now
    ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED
""")

_BACKLOG = text("SELECT count(*) FROM scores WHERE due_at <= :now")


async def claim_due(connection: AsyncConnection, now: datetime, limit: int) -> list[str]:
    """Lock up to `limit` accounts that are due by `now`, passing over those that others hold."""
    return list((await connection.execute(_CLAIM, {"now": now, "limit": limit})).scalars())


async def make_all_due(connection: AsyncConnection) -> int:
    """Have the sweeper look at every account, because what they are judged by has changed; returns how many.

    Waits for those who are judging by what was in force before, so that nothing they write comes after this.
    """
    await policies.hold_alone(connection)
    return (await connection.execute(text("UPDATE scores SET due_at = '-infinity'"))).rowcount


async def backlog(connection: AsyncConnection, now: datetime) -> int:
    """How many accounts are due by `now`."""
    return int((await connection.execute(_BACKLOG, {"now": now})).scalar_one())
