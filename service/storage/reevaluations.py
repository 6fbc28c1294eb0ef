"""Re-evaluations: what accounts are judged by has changed, so all are judged anew, in the order of their ids."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from msgspec import Struct
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.ids import new_id

Cause = Literal["scorecard", "rule"]


class Reevaluation(Struct, frozen=True):
    """One under way: up to which account it has come, and the digest of what it sets off, if it has one."""

    id: UUID
    cursor: str
    digest_id: UUID | None


_BEGIN = text("""
    INSERT INTO reevaluations (id, cause, subject, digest_id, total, started_at)
    SELECT :id, :cause, :subject, :digest, (SELECT count(*) FROM scores), :now
    RETURNING id
""")

_BREAK_OFF = text("UPDATE reevaluations SET finished_at = :now WHERE finished_at IS NULL RETURNING digest_id")


async def open_digest(connection: AsyncConnection) -> UUID | None:
    """The digest of the re-evaluation under way."""
    found = await connection.execute(
        text("SELECT digest_id FROM reevaluations WHERE finished_at IS NULL AND digest_id IS NOT NULL LIMIT 1")
    )
    return found.scalar_one_or_none()


async def break_off(connection: AsyncConnection, now: datetime) -> UUID | None:
    """End the one under way, after a step of it that somebody is at, because another takes its place.

    Returns its digest, if it has one, for the other to go on with.
    """
    digests = (await connection.execute(_BREAK_OFF, {"now": now})).scalars()
    return next((digest for digest in digests if digest is not None), None)


async def begin(connection: AsyncConnection, cause: Cause, subject: str, digest: UUID | None, now: datetime) -> UUID:
    """Begin one, in the transaction of the change."""
    values = {"id": new_id(), "cause": cause, "subject": subject, "digest": digest, "now": now}
    return UUID(str((await connection.execute(_BEGIN, values)).scalar_one()))


_TAKE = text("""
    SELECT id, cursor, digest_id FROM reevaluations WHERE finished_at IS NULL
    ORDER BY started_at LIMIT 1 FOR UPDATE SKIP LOCKED
""")


async def take(connection: AsyncConnection) -> Reevaluation | None:
    """Lock the one under way for a step; None if there is none, or somebody else is at it."""
    row = (await connection.execute(_TAKE)).one_or_none()
    return Reevaluation(*row) if row else None


_FOLLOWING = text("SELECT account_id FROM scores WHERE account_id > :cursor ORDER BY account_id LIMIT :limit")

# In the order in which batches lock theirs, which the database's own may not be.
_LOCK = text("""
    WITH locked AS MATERIALIZED (
        SELECT account_id FROM scores WHERE account_id = ANY(:ids) ORDER BY account_id COLLATE "C" FOR UPDATE
    )
    SELECT account_id FROM locked ORDER BY account_id
""")


async def following(connection: AsyncConnection, cursor: str, limit: int) -> list[str]:
    """Lock the next accounts after `cursor`, and return them in the order that the database gives them."""
    while ids := list((await connection.execute(_FOLLOWING, {"cursor": cursor, "limit": limit})).scalars()):
        if locked := list((await connection.execute(_LOCK, {"ids": ids})).scalars()):
            return locked
        cursor = ids[-1]  # all of them were erased meanwhile
    return []


_MOVE_ON = text("""
    UPDATE reevaluations SET cursor = :cursor, done = done + :done, total = greatest(total, done + :done) WHERE id = :id
""")


async def move_on(connection: AsyncConnection, id_: UUID, cursor: str, done: int) -> None:
    """Note that `done` more accounts are done, up to `cursor`; of accounts made meanwhile the total grows."""
    await connection.execute(_MOVE_ON, {"id": id_, "cursor": cursor, "done": done})


async def finish(connection: AsyncConnection, id_: UUID, now: datetime) -> None:
    """Note that all accounts are done: all that there are, as some may have been erased before their turn."""
    await connection.execute(
        text("UPDATE reevaluations SET finished_at = :now, total = done WHERE id = :id"), {"id": id_, "now": now}
    )


Position = tuple[datetime, UUID]
"""A re-evaluation's place in the order of their beginnings: `started_at` and `id`."""

_COLUMNS = "id, cause, subject, digest_id, total, done, started_at, finished_at"


async def get(connection: AsyncConnection, id_: UUID) -> Row[Any] | None:
    """One re-evaluation, or None."""
    statement = text(f"SELECT {_COLUMNS} FROM reevaluations WHERE id = :id")  # noqa: S608 - this module's own names
    return (await connection.execute(statement, {"id": id_})).one_or_none()


_UNDER_WAY = text(f"""
    SELECT {_COLUMNS} FROM reevaluations WHERE finished_at IS NULL ORDER BY started_at LIMIT 1
""")  # noqa: S608 - as above


async def under_way(connection: AsyncConnection) -> Row[Any] | None:
    """The one under way, or None."""
    return (await connection.execute(_UNDER_WAY)).one_or_none()


_NEWEST = text(f"""
    SELECT {_COLUMNS} FROM reevaluations
    WHERE CAST(:started_at AS timestamptz) IS NULL
       OR (started_at, id) < (CAST(:started_at AS timestamptz), CAST(:id AS uuid))
    ORDER BY started_at DESC, id DESC LIMIT :limit
""")  # noqa: S608 - as above


async def newest(connection: AsyncConnection, limit: int, before: Position | None = None) -> list[Row[Any]]:
    """The last re-evaluations, the newest first, from before a position."""
    started_at, id_ = before or (None, None)
    return list(await connection.execute(_NEWEST, {"limit": limit, "started_at": started_at, "id": id_}))
