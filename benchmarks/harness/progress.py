"""Watching a contender's progress: by its commits, not by its own words."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient

from benchmarks.harness.processes import Contender, ContenderFailedError, tree_cpu_seconds
from benchmarks.harness.servers import connected
from benchmarks.harness.statistics import ProgressSample

Offsets = dict[int, int]
"""Next offset by partition."""
ReadOffsets = Callable[[], Awaitable[Offsets]]

PATIENCE_SECONDS = 180.0


def folded(events: int) -> str:
    """SQL that is true once so many events of all topics are folded."""
    return f"SELECT coalesce(sum(next_offset), 0) >= {events} FROM progress"


async def until(
    url: str, contender: Contender, statement: str, patience: float = PATIENCE_SECONDS, every: float = 0.05
) -> float:
    """Wait until a statement returns true; returns the seconds that it took. Raises `ContenderFailedError`."""
    started = time.monotonic()
    async with connected(url) as connection:
        while not await connection.fetchval(statement):
            if contender.ended or time.monotonic() - started > patience:
                raise ContenderFailedError(contender.explain(f"ended or took too long, waited for by: {statement}"))
            await asyncio.sleep(every)
    return time.monotonic() - started


@asynccontextmanager
async def progress_table(database_url: str, topic: str) -> AsyncIterator[ReadOffsets]:
    """Reads the service's own `progress`, which is committed together with the scores."""
    async with connected(database_url) as connection:
        statement = await connection.prepare("SELECT partition, next_offset FROM progress WHERE topic = $1")

        async def read() -> Offsets:
            return {row["partition"]: row["next_offset"] for row in await statement.fetch(topic)}

        yield read


@asynccontextmanager
async def group_offsets(bootstrap: str, group: str, topic: str) -> AsyncIterator[ReadOffsets]:
    """Reads the offsets that a consumer group has committed to Kafka."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()

    async def read() -> Offsets:
        committed = await admin.list_consumer_group_offsets(group)
        return {at.partition: max(stand.offset, 0) for at, stand in committed.items() if at.topic == topic}

    try:
        yield read
    finally:
        await admin.close()


async def watch(
    source: AbstractAsyncContextManager[ReadOffsets],
    processes: Sequence[Contender],
    postgres: int,
    events: int,
    every: float,
) -> tuple[list[ProgressSample], Offsets]:
    """Sample every so many seconds until `events` are committed: a sample at each change, and the offsets at the end.

    `processes` are those of one contender. The first sample is taken when there are offsets at all: the service claims
    its partitions just before it polls. `postgres` is the server's process. Raises `ContenderFailedError`.
    """
    samples: list[ProgressSample] = []
    done = -1
    moved_at = time.monotonic()
    async with source as read:
        while True:
            ended = [process for process in processes if process.ended]
            offsets = await read()
            at = time.time()
            if offsets and (now_done := sum(offsets.values())) > done:
                done = now_done
                moved_at = time.monotonic()
                cpu = sum(process.cpu_seconds() for process in processes)
                samples.append(ProgressSample(at, done, cpu, tree_cpu_seconds(postgres)))
            if done >= events:
                return samples, offsets
            if ended or time.monotonic() - moved_at > PATIENCE_SECONDS:
                how = "ended" if ended else "stood still"
                culprit = (ended or processes)[0]
                raise ContenderFailedError(culprit.explain(f"{how} after {max(done, 0):,} of {events:,} events"))
            await asyncio.sleep(every)
