"""Back-tests that were asked for over HTTP: waiting, under way, and done.

A run takes one over for as long as it says that it is there. One whose run has been silent, as its process has died, is
begun again by the next.
"""

from datetime import datetime
from typing import Any, Literal, NamedTuple
from uuid import UUID

from sqlalchemy import Row, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from service.runtime.ids import new_id

MOST_WAITING = 20
MOST_KEPT = 100
MOST_TRIES = 3
SILENCE_SECONDS = 60
"""A run that has said nothing for so long is over."""

BacktestState = Literal["queued", "running", "done", "failed"]
BacktestPosition = tuple[datetime, UUID]
"""A back-test's place in the order of requests: `created_at` and `id`."""


class ClaimedBacktest(NamedTuple):
    """A back-test to be run, and the run's own id, without which nothing is written."""

    id: UUID
    run: UUID
    request: dict[str, Any]


_CREATE = text("""
    INSERT INTO backtests (id, request)
    SELECT :id, :request WHERE (SELECT count(*) FROM backtests WHERE finished_at IS NULL) < :most
    RETURNING id
""").bindparams(bindparam("request", type_=JSONB))

_FORGET = text("""
    DELETE FROM backtests WHERE finished_at IS NOT NULL AND id NOT IN (
        SELECT id FROM backtests ORDER BY created_at DESC, id DESC LIMIT :kept
    )
""")


async def create(connection: AsyncConnection, request: dict[str, Any]) -> UUID | None:
    """Queue a back-test, and forget those beyond the latest `MOST_KEPT`; None if `MOST_WAITING` aren't done yet."""
    await connection.execute(_FORGET, {"kept": MOST_KEPT - 1})
    values = {"id": new_id(), "request": request, "most": MOST_WAITING}
    found: UUID | None = (await connection.execute(_CREATE, values)).scalar_one_or_none()
    return found


_GIVE_UP = text("""
    UPDATE backtests SET finished_at = now(), problem = :problem
    WHERE finished_at IS NULL AND tries >= :tries
      AND (run IS NULL OR heard_at < now() - make_interval(secs => :silence))
""")

_CLAIM = text("""
    UPDATE backtests SET run = :run, heard_at = now(), tries = tries + 1, started_at = now(), step = '', done = 0,
        total = NULL
    WHERE id = (
        SELECT id FROM backtests
        WHERE finished_at IS NULL AND (heard_at IS NULL OR heard_at < now() - make_interval(secs => :silence))
        ORDER BY created_at LIMIT 1 FOR UPDATE SKIP LOCKED
    )
    RETURNING id, run, request
""")


async def claim(connection: AsyncConnection) -> ClaimedBacktest | None:
    """The back-test that has waited longest, for a new run; None if none waits. Those that ended `MOST_TRIES` runs
    have failed.
    """
    problem = "Its process was ended from outside each time, probably for want of memory. Give a shorter log"
    await connection.execute(_GIVE_UP, {"problem": problem, "tries": MOST_TRIES, "silence": SILENCE_SECONDS})
    row = (await connection.execute(_CLAIM, {"run": new_id(), "silence": SILENCE_SECONDS})).one_or_none()
    return ClaimedBacktest(*row) if row else None


_PROGRESS = text("""
    UPDATE backtests SET step = :step, done = :done, total = :total, heard_at = now()
    WHERE id = :id AND run = :run AND finished_at IS NULL
""")


async def record_progress(
    connection: AsyncConnection, claimed: ClaimedBacktest, step: str, done: int, total: int | None
) -> bool:
    """Say that the run is there, and how far; False if another has taken over, so that this one must end."""
    values = {"id": claimed.id, "run": claimed.run, "step": step, "done": done, "total": total}
    return bool((await connection.execute(_PROGRESS, values)).rowcount)


_FINISH = text("""
    UPDATE backtests SET finished_at = now(), report = :report, problem = :problem
    WHERE id = :id AND run = :run AND finished_at IS NULL
""").bindparams(bindparam("report", type_=JSONB(none_as_null=True)))


async def finish(
    connection: AsyncConnection,
    claimed: ClaimedBacktest,
    *,
    report: dict[str, Any] | None = None,
    problem: str | None = None,
) -> None:
    """Store the report, or why there is none, unless another run has taken over."""
    values = {"id": claimed.id, "run": claimed.run, "report": report, "problem": problem}
    await connection.execute(_FINISH, values)


_GIVE_BACK = text("""
    UPDATE backtests SET run = NULL, heard_at = NULL, tries = tries - CAST(:in_good_order AS integer)
    WHERE id = :id AND run = :run AND finished_at IS NULL
""")


async def give_back(connection: AsyncConnection, claimed: ClaimedBacktest, *, in_good_order: bool) -> None:
    """Let it wait again if it isn't finished; a run that was stopped `in_good_order` doesn't count as a try."""
    await connection.execute(_GIVE_BACK, {"id": claimed.id, "run": claimed.run, "in_good_order": in_good_order})


_COLUMNS = """
    id, request, step, done, total, created_at, started_at, finished_at, problem,
    CASE WHEN problem IS NOT NULL THEN 'failed' WHEN finished_at IS NOT NULL THEN 'done'
         WHEN run IS NOT NULL THEN 'running' ELSE 'queued' END AS state
"""


async def get(connection: AsyncConnection, id_: UUID) -> Row[Any] | None:
    """One back-test with its report, or None."""
    statement = text(f"SELECT {_COLUMNS}, report FROM backtests WHERE id = :id")  # noqa: S608 - this module's own names
    return (await connection.execute(statement, {"id": id_})).one_or_none()


_NEWEST = text(f"""
    SELECT {_COLUMNS} FROM backtests
    WHERE CAST(:created_at AS timestamptz) IS NULL
       OR (created_at, id) < (CAST(:created_at AS timestamptz), CAST(:id AS uuid))
    ORDER BY created_at DESC, id DESC LIMIT :limit
""")  # noqa: S608 - as above


async def newest(connection: AsyncConnection, limit: int, before: BacktestPosition | None = None) -> list[Row[Any]]:
    """The latest back-tests without their reports, newest first, from before a position."""
    created_at, id_ = before or (None, None)
    return list(await connection.execute(_NEWEST, {"limit": limit, "created_at": created_at, "id": id_}))
