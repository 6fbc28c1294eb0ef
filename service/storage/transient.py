"""Which database failures pass by themselves, and waiting until they have."""

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
FIRST_WAIT = 0.1
LONGEST_WAIT = 10.0


def is_transient(error: BaseException) -> bool:
    """Whether trying the same transaction again may succeed: the server is away or restarting, or a deadlock."""
    if isinstance(error, OSError | TimeoutError | PoolTimeoutError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    origin: Any = error.orig
    state = getattr(origin, "sqlstate", None) or getattr(origin.__cause__, "sqlstate", None)
    if state is None:
        return error.connection_invalidated or isinstance(origin, OSError) or "connection" in str(origin).lower()
    return str(state).startswith(_PASSING_CLASSES) or state in _PASSING_STATES


async def persistently(
    action: Callable[[], Awaitable[Result]], doing: str, waiting: Callable[[], None] = lambda: None
) -> Result:
    """Do `action` until the database lets it through, waiting 0.1 s, 0.2 s … 10 s between tries.

    `waiting` is called before each wait. Raises what isn't transient at once.
    """
    wait = FIRST_WAIT
    while True:
        try:
            return await action()
        except Exception as error:
            if not is_transient(error):
                raise
            reason = str(getattr(error, "orig", None) or error).splitlines()[:1]
            log.warning(
                "database_unavailable", doing=doing, reason=reason[0] if reason else type(error).__name__, retry_in=wait
            )
        waiting()
        await asyncio.sleep(wait)
        wait = min(wait * 2, LONGEST_WAIT)
