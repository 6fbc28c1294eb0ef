"""Runs a command's short work against Postgres."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.runtime.settings import Settings
from service.storage.database.engine import create_engine
from service.storage.database.errors import to_operator_error

Result = TypeVar("Result")


def in_transaction(settings: Settings, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
    """Run `work` in one transaction. Raises `HealthError` if Postgres is unavailable or has no tables."""

    async def begin(engine: AsyncEngine) -> Result:
        async with engine.begin() as connection:
            return await work(connection)

    return with_engine(settings, begin)


def with_engine(settings: Settings, work: Callable[[AsyncEngine], Awaitable[Result]]) -> Result:
    """Run `work`, which makes its own transactions. Raises `HealthError` if Postgres is unavailable or has no
    tables.
    """
    return asyncio.run(_with_engine(settings, work))


async def _with_engine(settings: Settings, work: Callable[[AsyncEngine], Awaitable[Result]]) -> Result:
    engine = create_engine(settings, "command")
    try:
        return await work(engine)
    except (DBAPIError, OSError) as error:
        raise to_operator_error(error) from error
    finally:
        await engine.dispose()
