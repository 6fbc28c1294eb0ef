"""Running a command's short piece of work against Postgres."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError, ProgrammingError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.errors import HealthError
from service.settings import Settings
from service.storage.engine import create_engine
from service.storage.transient import is_transient

Result = TypeVar("Result")


def in_transaction(settings: Settings, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
    """Do `work` in one transaction. Raises `HealthError` if Postgres is away or has no tables."""

    async def begin(engine: AsyncEngine) -> Result:
        async with engine.begin() as connection:
            return await work(connection)

    return with_engine(settings, begin)


def with_engine(settings: Settings, work: Callable[[AsyncEngine], Awaitable[Result]]) -> Result:
    """Do `work`, which makes its own transactions. Raises `HealthError` if Postgres is away or has no tables."""
    return asyncio.run(_with_engine(settings, work))


async def _with_engine(settings: Settings, work: Callable[[AsyncEngine], Awaitable[Result]]) -> Result:
    engine = create_engine(settings, "command")
    try:
        return await work(engine)
    except (DBAPIError, OSError) as error:
        raise explain(error) from error
    finally:
        await engine.dispose()


def explain(error: DBAPIError | OSError) -> Exception:
    """The error as an operator can act on it; itself where it is none of theirs."""
    if isinstance(error, ProgrammingError) and getattr(error.orig, "sqlstate", None) == "42P01":
        return HealthError("The database has no tables yet", "Run: account-health migrate")
    origin = getattr(error, "orig", error)
    state = str(getattr(origin, "sqlstate", None) or "")
    if state.startswith(("28", "3D")) or is_transient(error):
        reason = (str(origin).splitlines() or [type(origin).__name__])[0]
        return HealthError(f"Postgres can't be used: {reason}", "Check HEALTH_DATABASE_URL and that the server runs")
    return error
