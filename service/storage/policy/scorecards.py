"""Published scorecards: immutable versions of documents."""

import hashlib
from typing import Any

import msgspec
from sqlalchemy import case, func, insert, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.scorecards.document import ScorecardDocument
from service.storage.database.tables import scorecards


def digest(document: ScorecardDocument) -> bytes:
    """SHA-256 of the canonical document; equal documents have equal digests."""
    return hashlib.sha256(msgspec.json.encode(document, order="deterministic")).digest()


async def publish(connection: AsyncConnection, document: ScorecardDocument) -> tuple[int, bool]:
    """Publish a checked document as the newest version of its name; returns the version, and whether it is new.

    The same document again keeps its version. Of two concurrent calls for one name, the later waits.
    """
    await connection.exec_driver_sql("LOCK TABLE scorecards IN SHARE ROW EXCLUSIVE MODE")
    newest = (
        await connection.execute(
            select(scorecards.c.version, scorecards.c.digest)
            .where(scorecards.c.name == document.name)
            .order_by(scorecards.c.version.desc())
            .limit(1)
        )
    ).one_or_none()
    if newest and newest.digest == digest(document):
        return newest.version, False
    version = newest.version + 1 if newest else 1
    written = msgspec.to_builtins(document)
    calibration = written.pop("calibration", None)
    values = {"name": document.name, "version": version, "digest": digest(document), "document": written}
    await connection.execute(insert(scorecards).values(**values, calibration=calibration))
    return version, True


async def names(connection: AsyncConnection) -> list[str]:
    """The names of all scorecards, in order."""
    return list((await connection.execute(select(scorecards.c.name).distinct().order_by(scorecards.c.name))).scalars())


_WITH_CALIBRATION = case(
    (scorecards.c.calibration.is_(None), scorecards.c.document),
    else_=scorecards.c.document.op("||")(func.jsonb_build_object("calibration", scorecards.c.calibration)),
).label("document")
"""The whole document."""


async def newest(connection: AsyncConnection) -> list[tuple[int, Any]]:
    """(version, document) of the newest version of every scorecard."""
    rows = await connection.execute(
        select(scorecards.c.version, _WITH_CALIBRATION)
        .ext(distinct_on(scorecards.c.name))
        .order_by(scorecards.c.name, scorecards.c.version.desc())
    )
    return [(row.version, row.document) for row in rows]


_VERSION = (scorecards.c.name, scorecards.c.version, scorecards.c.published_at, _WITH_CALIBRATION)


async def get(connection: AsyncConnection, name: str, version: int) -> dict[str, Any] | None:
    """One published version, or None."""
    query = select(*_VERSION).where(scorecards.c.name == name, scorecards.c.version == version)
    found = (await connection.execute(query)).mappings().one_or_none()
    return dict(found) if found else None


async def versions(connection: AsyncConnection, name: str | None = None) -> list[dict[str, Any]]:
    """Every published version, of one name or of all, the newest first."""
    query = select(*_VERSION).order_by(scorecards.c.name, scorecards.c.version.desc())
    if name is not None:
        query = query.where(scorecards.c.name == name)
    return [dict(row) for row in (await connection.execute(query)).mappings()]
