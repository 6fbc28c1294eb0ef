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
    WITH before AS (
        UPDATE reevaluations SET finished_at = :now WHERE finished_at IS NULL RETURNING digest_id
    )
    INSERT INTO reevaluations (id, cause, subject, digest_id, total, started_at)
    SELECT :id, :cause, :subject, coalesce(:digest, (SELECT digest_id FROM before WHERE digest_id IS NOT NULL LIMIT 1)),
           (SELECT count(*) FROM scores), :now
    RETURNING id
""")


async def open_digest(connection: AsyncConnection) -> UUID | None:
    """The digest of the re-evaluation under way."""
    found = await connection.execute(
        text("SELECT digest_id FROM reevaluations WHERE finished_at IS NULL AND digest_id IS NOT NULL LIMIT 1")
    )
    return found.scalar_one_or_none()


async def begin(connection: AsyncConnection, cause: Cause, subject: str, digest: UUID | None, now: datetime) -> UUID:
    """Begin one, in the transaction of the change. It takes the place of one that is under way, and its digest."""
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


async def following(connection: AsyncConnection, cursor: str, limit: int) -> list[str]:
    """The next accounts after `cursor`, in order."""
    statement = text("SELECT account_id FROM scores WHERE account_id > :cursor ORDER BY account_id LIMIT :limit")
    return list((await connection.execute(statement, {"cursor": cursor, "limit": limit})).scalars())


async def move_on(connection: AsyncConnection, id_: UUID, cursor: str, done: int) -> None:
    """Note that `done` more accounts are done, up to `cursor`."""
    await connection.execute(
        text("UPDATE reevaluations SET cursor = :cursor, done = done + :done WHERE id = :id"),
        {"id": id_, "cursor": cursor, "done": done},
    )


async def finish(connection: AsyncConnection, id_: UUID, now: datetime) -> None:
    """Note that all accounts are done."""
    await connection.execute(
        text("UPDATE reevaluations SET finished_at = :now WHERE id = :id"), {"id": id_, "now": now}
    )


_COLUMNS = "id, cause, subject, digest_id, total, done, started_at, finished_at"


async def get(connection: AsyncConnection, id_: UUID) -> Row[Any] | None:
    """One re-evaluation, or None."""
    statement = text(f"SELECT {_COLUMNS} FROM reevaluations WHERE id = :id")  # noqa: S608 - this module's own names
    return (await connection.execute(statement, {"id": id_})).one_or_none()


async def newest(connection: AsyncConnection, limit: int) -> list[Row[Any]]:
    """The last re-evaluations, the newest first."""
    statement = text(f"SELECT {_COLUMNS} FROM reevaluations ORDER BY started_at DESC LIMIT :limit")  # noqa: S608 - as above
    return list(await connection.execute(statement, {"limit": limit}))
