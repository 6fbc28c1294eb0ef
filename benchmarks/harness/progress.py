"""Watching a contender's progress: by its commits, not by its own words."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient

from benchmarks.harness.processes import Contender, ContenderFailedError, tree_cpu_seconds
from benchmarks.harness.statistics import ProgressSample

Offsets = dict[int, int]
"""Next offset by partition."""
ReadOffsets = Callable[[], Awaitable[Offsets]]

PATIENCE_SECONDS = 180.0


@asynccontextmanager
async def progress_table(database_url: str, topic: str) -> AsyncIterator[ReadOffsets]:
    """Reads the service's own `progress`, which is committed together with the scores."""
    connection = await asyncpg.connect(database_url)
    statement = await connection.prepare("SELECT partition, next_offset FROM progress WHERE topic = $1")

    async def read() -> Offsets:
        return {row["partition"]: row["next_offset"] for row in await statement.fetch(topic)}

    try:
        yield read
    finally:
        await connection.close()


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
    read: ReadOffsets,
    contender: Contender,
    postgres: int,
    events: int,
    *,
    every: float,
) -> tuple[list[ProgressSample], Offsets]:
    """Sample until `events` are committed: a sample at each change, and the offsets at the end.

    The first sample is taken when there are offsets at all: the service claims its partitions just before it polls.
    `postgres` is the server's process. Raises `ContenderFailedError`.
    """
    samples: list[ProgressSample] = []
    done = -1
    moved_at = time.monotonic()
    while True:
        ended = contender.ended
        offsets = await read()
        at = time.time()
        if offsets and (now_done := sum(offsets.values())) > done:
            done = now_done
            moved_at = time.monotonic()
            samples.append(ProgressSample(at, done, contender.cpu_seconds(), tree_cpu_seconds(postgres)))
        if done >= events:
            return samples, offsets
        if ended:
            raise ContenderFailedError(contender.explain(f"ended after {max(done, 0):,} of {events:,} events"))
        if time.monotonic() - moved_at > PATIENCE_SECONDS:
            raise ContenderFailedError(contender.explain(f"stood still at {max(done, 0):,} of {events:,} events"))
        await asyncio.sleep(every)
