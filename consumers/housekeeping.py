"""Housekeeping beside the sweeper: the partitions of history."""

import asyncio
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from service.housekeeping import keep_history
from service.resting import rest
from service.settings import Settings
from service.storage.transient import persistently

ROUND_SECONDS = 3600.0
AGAIN_SECONDS = 5.0
"""How soon a partition is tried for again when folding held it: far longer than it is waited for."""


async def run(engine: AsyncEngine, settings: Settings, stop: asyncio.Event) -> None:
    """Keep the partitions of history until `stop` is set, through outages of Postgres."""
    while not stop.is_set():
        done = await persistently(
            lambda: keep_history(engine, datetime.now(UTC).date(), settings.history_retention_days),
            "keeping the partitions of history",
        )
        await rest(stop, ROUND_SECONDS if done else AGAIN_SECONDS)
