"""Digests: alerts that are sent together. A published scorecard or a changed rule has its own; a backfill, or rules
that fire in bulk after their dwell time, have one until they pause.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from sqlalchemy import Row, Text, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.runtime.ids import new_id
from service.storage.database.bulk_parameters import unnest_parameters

DigestCause = Literal["scorecard", "rule", "backfill", "dwell"]
RuleChange = Literal["created", "changed", "enabled", "disabled", "deleted"]
"""The kind of a rule's change."""


class BandMove(NamedTuple):
    """A move from one band to another, in a segment, a stage and of an owner."""

    before: str
    after: str
    segment: object
    stage: object
    owner: object


BandMoves = Mapping[BandMove, int]
"""The number of accounts by move."""

# A rule's digest never counts as paused, for versions that don't know it: it is sent when all accounts are evaluated.
_OPEN = text("""
    INSERT INTO digests (id, cause, subject, change, opened_at, touched_at)
    VALUES (:id, CAST(:cause AS text), :subject, :change, CAST(:now AS timestamptz),
            CASE WHEN CAST(:cause AS text) = 'rule' THEN timestamptz 'infinity' ELSE CAST(:now AS timestamptz) END)
    ON CONFLICT (cause) WHERE closed_at IS NULL AND cause <> 'scorecard' DO UPDATE SET touched_at = excluded.touched_at
    RETURNING id
""")


async def open_digest(
    connection: AsyncConnection, cause: DigestCause, subject: str, now: datetime, change: RuleChange | None = None
) -> UUID:
    """The digest to add alerts to: a new one, or that of the backfill or dwell in progress.

    `change` is the change of the rule that it is about.
    """
    values = {"id": new_id(), "cause": cause, "subject": subject, "change": change, "now": now}
    return UUID(str((await connection.execute(_OPEN, values)).scalar_one()))


# Scorecards come first, as they name the whole. A rule that was created and then changed still counts as created.
_ADD_SUBJECT = text("""
    UPDATE digests SET
        change = CASE
            WHEN cause <> 'rule' OR :cause <> 'rule' THEN NULL
            WHEN change = CAST(:change AS text) THEN change
            WHEN change = 'created' AND subject = CAST(:subject AS text) AND :change IN ('changed', 'enabled')
            THEN 'created'
            WHEN subject = CAST(:subject AS text) AND :change = 'deleted' THEN 'deleted'
            ELSE 'changed'
        END,
        subject = CASE
            WHEN cause = :cause AND :subject = ANY(string_to_array(subject, ', ')) THEN subject
            WHEN cause = 'scorecard' AND :cause = 'rule' THEN subject || ', rule ' || CAST(:subject AS text)
            WHEN cause = 'rule' AND :cause = 'scorecard' THEN CAST(:subject AS text) || ', rule ' || subject
            ELSE subject || ', ' || CAST(:subject AS text)
        END,
        cause = CASE WHEN :cause = 'scorecard' THEN 'scorecard' ELSE cause END
    WHERE id = :id
""").bindparams(bindparam("cause", type_=Text), bindparam("subject", type_=Text), bindparam("change", type_=Text))


async def add_subject(
    connection: AsyncConnection, digest: UUID, cause: DigestCause, subject: str, change: RuleChange | None = None
) -> None:
    """Record that a digest of a scorecard or a rule is about another one too, or about one more change of the rule."""
    await connection.execute(_ADD_SUBJECT, {"id": digest, "cause": cause, "subject": subject, "change": change})


async def add_moves(connection: AsyncConnection, digest: UUID, moves: BandMoves) -> None:
    """Add to the numbers of accounts that moved from band to band."""
    if moves:
        await connection.execute(
            text("""
                INSERT INTO digest_moves (digest_id, band_before, band_after, segment, stage, owner, accounts)
                SELECT :digest, new.*
                FROM unnest(CAST(:before AS text[]), CAST(:after AS text[]), CAST(:segment AS text[]),
                            CAST(:stage AS text[]), CAST(:owner AS text[]), CAST(:accounts AS bigint[])) AS new
            """),
            {"digest": digest, "accounts": list(moves.values()), **unnest_parameters(list(moves))},
        )


_PAUSED = text("""
    SELECT id FROM digests WHERE cause IN ('backfill', 'dwell') AND closed_at IS NULL AND touched_at <= :before
    FOR UPDATE SKIP LOCKED
""")


async def paused(connection: AsyncConnection, before: datetime) -> list[UUID]:
    """Lock the digests of backfills and dwells that nothing was added to since `before`."""
    return list((await connection.execute(_PAUSED, {"before": before})).scalars())


async def close(connection: AsyncConnection, digest: UUID, now: datetime) -> Row[Any] | None:
    """Close a digest; returns its cause, subject, change and opened_at, or None if it was closed before."""
    return (
        await connection.execute(
            text("""
                UPDATE digests SET closed_at = :now WHERE id = :id AND closed_at IS NULL
                RETURNING cause, subject, change, opened_at
            """),
            {"id": digest, "now": now},
        )
    ).one_or_none()


async def moves(connection: AsyncConnection, digest: UUID) -> list[Row[Any]]:
    """The numbers of accounts that moved from band to band: band_before, band_after, accounts."""
    return list(
        await connection.execute(
            text("""
                SELECT band_before, band_after, CAST(sum(accounts) AS bigint) AS accounts FROM digest_moves
                WHERE digest_id = :id GROUP BY 1, 2 ORDER BY 1, 2
            """),
            {"id": digest},
        )
    )


async def crossings(connection: AsyncConnection, digest: UUID) -> list[Row[Any]]:
    """The numbers of alerts summed up by rule: rule, firing, resolved."""
    return list(
        await connection.execute(
            text("""
                SELECT rule, count(*) FILTER (WHERE state = 'firing') AS firing,
                       count(*) FILTER (WHERE state = 'resolved') AS resolved
                FROM alerts WHERE digest_id = :id GROUP BY rule ORDER BY rule
            """),
            {"id": digest},
        )
    )
