"""Re-evaluations: after a change of scorecards or rules, all accounts are evaluated again, in the order of their
ids.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from msgspec import Struct
from sqlalchemy import ARRAY, Row, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.runtime.ids import new_id

ReevaluationCause = Literal["scorecard", "rule"]


class RunningReevaluation(Struct, frozen=True):
    """A running re-evaluation: the last account done, and the digest of its alerts, if it has one."""

    id: UUID
    cursor: str
    digest_id: UUID | None


_BEGIN = text("""
    INSERT INTO reevaluations (id, cause, subject, digest_id, rules, total, started_at)
    SELECT :id, :cause, :subject, :digest, :rules, (SELECT count(*) FROM scores), :now
    RETURNING id
""").bindparams(bindparam("rules", type_=ARRAY(Uuid)))

_INTERRUPT = text("UPDATE reevaluations SET finished_at = :now WHERE finished_at IS NULL RETURNING digest_id, rules")

_CURRENT_DIGEST = text("""
    SELECT digest.id AS digest, digest.cause = 'scorecard' AS of_scorecard, under_way.rules
    FROM reevaluations AS under_way JOIN digests AS digest ON digest.id = under_way.digest_id
    WHERE under_way.finished_at IS NULL LIMIT 1
""")


class ReevaluationDigest(NamedTuple):
    """The digest of the running re-evaluation, whether it is about a scorecard, and the rules that changed."""

    digest: UUID
    of_scorecard: bool
    rules: Sequence[UUID]


async def current_digest(connection: AsyncConnection) -> ReevaluationDigest | None:
    """The digest of the running re-evaluation, and its contents, or None."""
    row = (await connection.execute(_CURRENT_DIGEST)).one_or_none()
    return ReevaluationDigest(*row) if row else None


class InterruptedReevaluation(NamedTuple):
    """An interrupted re-evaluation's legacy to its replacement: its digest, and the rules that had changed."""

    digest: UUID | None
    rules: Sequence[UUID]


async def interrupt(connection: AsyncConnection, now: datetime) -> InterruptedReevaluation:
    """End the running one, after any step in progress, because another replaces it."""
    ended = (await connection.execute(_INTERRUPT, {"now": now})).all()
    digest = next((row.digest_id for row in ended if row.digest_id is not None), None)
    return InterruptedReevaluation(digest, [rule for row in ended for rule in row.rules])


async def begin(
    connection: AsyncConnection,
    cause: ReevaluationCause,
    subject: str,
    digest: UUID | None,
    now: datetime,
    *,
    rules: Collection[UUID] = (),
) -> UUID:
    """Begin a re-evaluation, in the transaction of the change; `rules` are those that have changed."""
    values = {"id": new_id(), "cause": cause, "subject": subject, "digest": digest, "rules": list(rules), "now": now}
    return UUID(str((await connection.execute(_BEGIN, values)).scalar_one()))


_LOCK_CURRENT = text("""
    SELECT id, cursor, digest_id FROM reevaluations WHERE finished_at IS NULL
    ORDER BY started_at LIMIT 1 FOR UPDATE SKIP LOCKED
""")


async def lock_current(connection: AsyncConnection) -> RunningReevaluation | None:
    """Lock the running one for a step; None if there is none, or another process has it."""
    row = (await connection.execute(_LOCK_CURRENT)).one_or_none()
    return RunningReevaluation(*row) if row else None


_FOLLOWING = text("SELECT account_id FROM scores WHERE account_id > :cursor ORDER BY account_id LIMIT :limit")

# In the order in which batches lock theirs, which the database's own may not be.
_LOCK = text("""
    WITH locked AS MATERIALIZED (
        SELECT account_id FROM scores WHERE account_id = ANY(:ids) ORDER BY account_id COLLATE "C" FOR UPDATE
    )
    SELECT account_id FROM locked ORDER BY account_id
""")


async def next_accounts(connection: AsyncConnection, cursor: str, limit: int) -> list[str]:
    """Lock the next accounts after `cursor`, and return them in the order that the database gives them."""
    while ids := list((await connection.execute(_FOLLOWING, {"cursor": cursor, "limit": limit})).scalars()):
        if locked := list((await connection.execute(_LOCK, {"ids": ids})).scalars()):
            return locked
        cursor = ids[-1]  # all of them were erased meanwhile
    return []


_RECORD_PROGRESS = text("""
    UPDATE reevaluations SET cursor = :cursor, done = done + :done, total = greatest(total, done + :done) WHERE id = :id
""")


async def record_progress(connection: AsyncConnection, id_: UUID, cursor: str, done: int) -> None:
    """Record that `done` more accounts are done, up to `cursor`; the total grows by accounts created meanwhile."""
    await connection.execute(_RECORD_PROGRESS, {"id": id_, "cursor": cursor, "done": done})


async def finish(connection: AsyncConnection, id_: UUID, now: datetime) -> None:
    """Record that all accounts are done; the total is adjusted, as some may have been erased before their turn."""
    await connection.execute(
        text("UPDATE reevaluations SET finished_at = :now, total = done WHERE id = :id"), {"id": id_, "now": now}
    )


ReevaluationPosition = tuple[datetime, UUID]
"""A re-evaluation's place in the order of starts: `started_at` and `id`."""

_COLUMNS = "id, cause, subject, digest_id, total, done, started_at, finished_at"


async def get(connection: AsyncConnection, id_: UUID) -> Row[Any] | None:
    """One re-evaluation, or None."""
    statement = text(f"SELECT {_COLUMNS} FROM reevaluations WHERE id = :id")  # noqa: S608 - this module's own names
    return (await connection.execute(statement, {"id": id_})).one_or_none()


_CURRENT = text(f"""
    SELECT {_COLUMNS} FROM reevaluations WHERE finished_at IS NULL ORDER BY started_at LIMIT 1
""")  # noqa: S608 - as above


async def current(connection: AsyncConnection) -> Row[Any] | None:
    """The running one, or None."""
    return (await connection.execute(_CURRENT)).one_or_none()


_NEWEST = text(f"""
    SELECT {_COLUMNS} FROM reevaluations
    WHERE CAST(:started_at AS timestamptz) IS NULL
       OR (started_at, id) < (CAST(:started_at AS timestamptz), CAST(:id AS uuid))
    ORDER BY started_at DESC, id DESC LIMIT :limit
""")  # noqa: S608 - as above


async def newest(connection: AsyncConnection, limit: int, before: ReevaluationPosition | None = None) -> list[Row[Any]]:
    """The latest re-evaluations, newest first, from before a position."""
    started_at, id_ = before or (None, None)
    return list(await connection.execute(_NEWEST, {"limit": limit, "started_at": started_at, "id": id_}))
