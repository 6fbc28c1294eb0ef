"""Recognises transient database failures, and retries until they are over."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

Result = TypeVar("Result")
log = structlog.get_logger(__name__)

_PASSING_CLASSES = ("08", "40", "53", "57", "58")
"""SQLSTATE classes: connection, transaction rollback (deadlock), resources, operator intervention, system error."""
_PASSING_STATES = ("55P03", "25P03")
_TOO_LONG = ("57014", "55P03", "25P03")
"""The time of a statement, a lock or a transaction is up."""
POSTGRES_AWAY = "Postgres can't be reached"
_TROUBLES = {
    "53100": "Postgres has no room left on its disk",
    "53200": "Postgres has no memory left",
    "53300": "Postgres has no connection left",
    "57014": "Postgres gave up a statement that took too long",
    "57P03": "Postgres is starting, or recovers",
    "40P01": "Postgres broke off a deadlock",
    "55P03": "rows in Postgres are locked by another session",
}
"""The meaning of an SQLSTATE; texts name no hosts, users or values, as anybody may request them."""
FIRST_WAIT = 0.1
LONGEST_WAIT = 10.0


def is_transient(error: BaseException) -> bool:
    """True if the same transaction may succeed when tried again: the server is unavailable or restarting, or a
    deadlock.
    """
    if isinstance(error, OSError | TimeoutError | PoolTimeoutError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state, origin = sqlstate(error), error.orig
    if state is None:
        return error.connection_invalidated or isinstance(origin, OSError) or "connection" in str(origin).lower()
    return state.startswith(_PASSING_CLASSES) or state in _PASSING_STATES


def took_too_long(error: BaseException) -> bool:
    """True if a transaction's time was up, so that a smaller one may succeed."""
    return is_transient(error) and (isinstance(error, TimeoutError) or sqlstate(error) in _TOO_LONG)


def sqlstate(error: BaseException) -> str | None:
    """Postgres' code for the error (its appendix A); None if there is none."""
    origin: Any = getattr(error, "orig", None) or error
    state = getattr(origin, "sqlstate", None) or getattr(origin.__cause__, "sqlstate", None)
    return None if state is None else str(state)


def trouble(error: BaseException) -> str:
    """Describe a transient error, in words that reveal nothing; empty for any other error."""
    if not is_transient(error):
        return ""
    if isinstance(error, PoolTimeoutError):
        return "all of this process's connections to Postgres are in use"
    return _TROUBLES.get(sqlstate(error) or "", POSTGRES_AWAY)


async def retry_while_transient(
    action: Callable[[], Awaitable[Result]], doing: str, waiting: Callable[[str], None] = lambda _: None
) -> Result:
    """Repeat `action` until the database lets it through, waiting 0.1 s, 0.2 s … 10 s between tries.

    Calls `waiting` before each wait, with the `trouble`. Raises anything that isn't transient at once.
    """
    wait = FIRST_WAIT
    while True:
        try:
            return await action()
        except Exception as error:
            if not (why := trouble(error)):
                raise
            reason = str(getattr(error, "orig", None) or error).splitlines()[:1]
            log.warning(
                "database_unavailable", doing=doing, reason=reason[0] if reason else type(error).__name__, retry_in=wait
            )
        waiting(why)
        await asyncio.sleep(wait)
        wait = min(wait * 2, LONGEST_WAIT)
