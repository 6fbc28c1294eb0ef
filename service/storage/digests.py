"""Digests: alerts that are told together. A published scorecard has one of its own, a backfill, or what fires after
having waited in bulk, one until it pauses.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.ids import new_id

Cause = Literal["scorecard", "backfill", "dwell"]
Moves = Mapping[tuple[str, str], int]
"""How many accounts went from one band to another."""

_OPEN = text("""
    INSERT INTO digests (id, cause, subject, opened_at, touched_at) VALUES (:id, :cause, :subject, :now, :now)
    ON CONFLICT (cause) WHERE closed_at IS NULL AND cause <> 'scorecard' DO UPDATE SET touched_at = excluded.touched_at
    RETURNING id
""")


async def open_one(connection: AsyncConnection, cause: Cause, subject: str, now: datetime) -> UUID:
    """The digest to put alerts into: a new one, or that of the backfill or dwell that goes on."""
    values = {"id": new_id(), "cause": cause, "subject": subject, "now": now}
    return UUID(str((await connection.execute(_OPEN, values)).scalar_one()))


async def also(connection: AsyncConnection, digest: UUID, subject: str) -> None:
    """Note that a digest is about another subject too."""
    await connection.execute(
        text("UPDATE digests SET subject = subject || ', ' || :subject WHERE id = :id"),
        {"id": digest, "subject": subject},
    )


async def add_moves(connection: AsyncConnection, digest: UUID, moves: Moves) -> None:
    """Add to how many accounts went from band to band."""
    if moves:
        await connection.execute(
            text("""
                INSERT INTO digest_moves (digest_id, band_before, band_after, accounts)
                SELECT :digest, before, after, accounts
                FROM unnest(CAST(:before AS text[]), CAST(:after AS text[]), CAST(:accounts AS bigint[]))
                     AS new (before, after, accounts)
            """),
            {
                "digest": digest,
                "before": [before for before, _ in moves],
                "after": [after for _, after in moves],
                "accounts": list(moves.values()),
            },
        )


_PAUSED = text("""
    SELECT id FROM digests WHERE cause <> 'scorecard' AND closed_at IS NULL AND touched_at <= :before
    FOR UPDATE SKIP LOCKED
""")


async def paused(connection: AsyncConnection, before: datetime) -> list[UUID]:
    """Lock the digests of backfills and dwells that nothing was added to since `before`."""
    return list((await connection.execute(_PAUSED, {"before": before})).scalars())


async def close(connection: AsyncConnection, digest: UUID, now: datetime) -> Row[Any] | None:
    """Close a digest; its cause, subject and opened_at, or None if it was closed before."""
    return (
        await connection.execute(
            text("""
                UPDATE digests SET closed_at = :now WHERE id = :id AND closed_at IS NULL
                RETURNING cause, subject, opened_at
            """),
            {"id": digest, "now": now},
        )
    ).one_or_none()


async def moves(connection: AsyncConnection, digest: UUID) -> list[Row[Any]]:
    """How many accounts went from band to band: band_before, band_after, accounts."""
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
    """How many accounts' alerts are summed up, by rule: rule, firing, resolved."""
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
