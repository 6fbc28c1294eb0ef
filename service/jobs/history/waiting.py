"""Waits until consumers have folded a load, so that each of its accounts exists and its live history has begun."""

import asyncio
import time
from collections.abc import Mapping, Sequence

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncEngine

from service.jobs.load.terminal import Advance, StoppedError, bar
from service.runtime.errors import HealthError
from service.runtime.tasks import sleep_unless_stopped
from service.storage.accounts import replayed_history
from service.storage.ingest import progress, standstill
from service.storage.ingest.progress import Partition

LOOK_SECONDS = 0.3
AWAY_SECONDS = 20.0
"""The time for which a topic may be without an active consumer: one that has just started needs some seconds."""
STILL_SECONDS = 120.0
"""The time for which folding may stand still, as after a rebalance, where the wait was asked for."""
CHUNK = 10_000


class _Folded(Struct, frozen=True):
    """The number of records of a load that are folded or refused, of how many."""

    done: int
    records: int


async def until_folded(
    engine: AsyncEngine, accounts: Sequence[str], ends: Mapping[Partition, int], stop: asyncio.Event, still: float
) -> None:
    """Return when all of the accounts exist, or everything before `ends` is folded: accounts that don't exist then were
    erased.

    Raises `StoppedError` when `stop` is set, and `HealthError` if no consumer is active, or nothing is folded for
    `still` seconds.
    """
    missing = await _missing(engine, accounts)
    found = await _folded(engine, ends)
    moved_at = time.monotonic()
    with bar("Waiting for consumers", found.records, found.done) as advance:
        while missing and found.done < found.records:
            if stop.is_set():
                raise StoppedError("Stopped. No history is written. Run the same command again to go on")
            await _require_activity(engine, ends, time.monotonic() - moved_at, still)
            await sleep_unless_stopped(stop, LOOK_SECONDS)
            now = await _folded(engine, ends)
            if now != found:
                moved_at = time.monotonic()
                missing = await _missing(engine, missing)
            found = _shown(found, now, advance)


def _shown(before: _Folded, now: _Folded, advance: Advance) -> _Folded:
    advance(now.done - before.done)
    return now


async def _missing(engine: AsyncEngine, accounts: Sequence[str]) -> list[str]:
    missing: list[str] = []
    async with engine.connect() as connection:
        for start in range(0, len(accounts), CHUNK):
            missing += await replayed_history.missing(connection, accounts[start : start + CHUNK])
    return missing


async def _folded(engine: AsyncEngine, ends: Mapping[Partition, int]) -> _Folded:
    async with engine.connect() as connection:
        rows = await progress.all_partitions(connection)
    reached = {(row.topic, row.partition): row.next_offset for row in rows}
    done = sum(min(reached.get(partition, 0), end) for partition, end in ends.items())
    return _Folded(done, sum(ends.values()))


async def _require_activity(engine: AsyncEngine, ends: Mapping[Partition, int], seconds: float, still: float) -> None:
    """Raise `HealthError` if nothing was folded for so many seconds, and nothing will be, or that is too long."""
    if seconds <= AWAY_SECONDS:
        return
    async with engine.connect() as connection:
        topics = sorted({topic for topic, _ in ends})
        problem = standstill.describe(await standstill.standstills(connection, topics))
    if problem is not None or seconds > still:
        raise HealthError(
            f"Consumers don't fold the loaded events: {problem or f'nothing has moved for {seconds:.0f} s'}",
            "Once they do, run the same command again",
        )
