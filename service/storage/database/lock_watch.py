"""Reports waits for locks in Postgres while they last: the waiting process itself can't until it is over."""

import asyncio
import time

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from service.observability.metrics import LOCK_WAIT_SECONDS
from service.storage.database import lock_waits
from service.storage.database.retry import is_transient

log = structlog.get_logger(__name__)

CHECK_SECONDS = 5.0
LONG_SECONDS = 10.0
"""Waits of this length are logged."""
REPEAT_SECONDS = 30.0
"""The interval between log entries while waits continue."""


async def watch_locks(engine: AsyncEngine) -> None:
    """Show the longest wait of any process of the service, until cancelled; log a warning from `LONG_SECONDS` on."""
    told_at = -REPEAT_SECONDS
    while True:
        try:
            async with engine.connect() as connection:
                wait = await lock_waits.longest(connection)
        except Exception as error:
            if not is_transient(error):
                raise
            wait = None  # another task of this process reports that Postgres is unavailable
        LOCK_WAIT_SECONDS.set(0.0 if wait is None else wait.seconds)
        if wait is not None and wait.seconds >= LONG_SECONDS and time.monotonic() - told_at >= REPEAT_SECONDS:
            told_at = time.monotonic()
            remedy = f"If that session is stuck: psql -c 'SELECT pg_terminate_backend({wait.pid})'"
            log.warning(
                "lock_waited_for",
                seconds=round(wait.seconds, 1),
                waiting=wait.waiting,
                pid=wait.pid,
                holder=wait.holder,
                table=wait.table,
                remedy=remedy,
            )
        await asyncio.sleep(CHECK_SECONDS)
