"""The service's own processes in tests: settings for a test of its own, and consumers that run until they are
stopped.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.fold import runner
from service.runtime.settings import Settings

PATIENCE = 30.0


def settings_for(database_url: str, bootstrap: str, topic_prefix: str, **changes: Any) -> Settings:
    """Settings with the test's own database, topics and group."""
    values: dict[str, Any] = {
        "database_url": database_url,
        "kafka_bootstrap_servers": bootstrap,
        "kafka_group": f"{topic_prefix}group",
        "kafka_partitions": 3,
        **{f"topic_{signal}": f"{topic_prefix}{signal}-events" for signal in ("usage", "ticket", "survey", "account")},
        **changes,
    }
    return Settings(_env_file=None, **values)


@asynccontextmanager
async def consuming(settings: Settings) -> AsyncIterator[None]:
    """A consumer in this process; at the end it is stopped as SIGTERM would, and its error is raised."""
    stop = asyncio.Event()
    task = asyncio.create_task(runner.run(settings, stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, PATIENCE)


async def eventually(found: Callable[[], Awaitable[bool]], what: str, seconds: float = PATIENCE) -> None:
    """Wait until `found`; fails with `what` if it doesn't happen."""
    try:
        async with asyncio.timeout(seconds):
            while not await found():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not seen within {seconds} s: {what}") from None


async def query(engine: AsyncEngine, statement: str, **values: Any) -> Sequence[Row[Any]]:
    """All rows of a statement, in a transaction of its own."""
    async with engine.begin() as connection:
        return (await connection.execute(text(statement), values)).all()


async def folded_up_to(engine: AsyncEngine, records: int, seconds: float = PATIENCE) -> None:
    """Wait until a number of records are folded or refused, over all partitions."""

    async def reached() -> bool:
        rows = await query(engine, "SELECT coalesce(sum(next_offset), 0) FROM progress")
        return int(rows[0][0]) >= records

    await eventually(reached, f"{records} records folded", seconds)
