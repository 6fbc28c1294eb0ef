"""Produce to commit: live events at a steady rate, and the time of each until its score is committed."""

import asyncio
import time

from benchmarks.harness.machine import ForeignLoad
from benchmarks.harness.processes import Contender, ContenderFailedError
from benchmarks.harness.progress import progress_table
from benchmarks.harness.servers import Arena, url_of
from benchmarks.harness.statistics import Latency, latencies
from benchmarks.harness.terminal import say
from benchmarks.harness.workload import draw, fill, paced, producing
from benchmarks.ingest.results import IngestOptions
from service.runtime.settings import Settings

PER_SECOND = 1000
SAMPLE_SECONDS = 0.005
WARM_EVENTS = 5000
PATIENCE_SECONDS = 60.0

Seen = dict[int, list[tuple[float, int]]]


def measure(arena: Arena, database_url: str, options: IngestOptions) -> Latency:
    """Uniform events over accounts that the database knows, on topics of their own.

    An event is sent when the producer takes it, and committed when `progress`, read every 5 ms, first shows it.
    """
    say(f"{PER_SECOND:,} live events a second for {options.latency_seconds} s …")
    settings = arena.prepared("latency", url=database_url, partitions=options.partitions)
    with ForeignLoad() as foreign, arena.service(settings, "consume") as contender:
        waits, took = asyncio.run(_measure(settings, contender, options))
    found = Latency.of(waits, len(waits) / took, foreign.share)
    say(f"  p50 {found.p50:.0f} ms, p99 {found.p99:.0f} ms")
    return found


async def _measure(settings: Settings, contender: Contender, options: IngestOptions) -> tuple[list[float], float]:
    newest = int(time.time() * 1000)
    shape = {"accounts": options.accounts, "partitions": settings.kafka_partitions, "newest": newest}
    warm = draw("warm", "uniform", events=WARM_EVENTS, seed=8, **shape)
    await fill(settings.kafka_bootstrap_servers, settings.topic_usage, warm)
    live = draw("live", "uniform", events=PER_SECOND * options.latency_seconds, seed=9, **shape)
    records = [each for _, keys, values in live.chunks() for each in zip(keys, values, strict=True)]
    seen: Seen = {}
    await _watch(settings, contender, seen, len(warm))
    started = time.perf_counter()
    watching = asyncio.create_task(_watch(settings, contender, seen, len(warm) + len(live)))
    try:
        sent = await _send(settings, records)
        took = time.perf_counter() - started
        await watching
    finally:
        watching.cancel()
    return latencies(sent, seen), took


async def _send(settings: Settings, records: list[tuple[bytes, bytes]]) -> list[tuple[int, int, float]]:
    """Send at a steady rate; returns partition, offset and moment of each record."""
    receipts = []
    async with producing(settings.kafka_bootstrap_servers, linger_ms=0) as producer:
        async for number in paced(PER_SECOND, len(records)):
            key, value = records[number]
            at = time.perf_counter()
            receipts.append((await producer.send(settings.topic_usage, value, key=key), at))
        return [(receipt.partition, receipt.offset, at) for future, at in receipts for receipt in [await future]]


async def _watch(settings: Settings, contender: Contender, seen: Seen, events: int) -> None:
    """Note every change of `progress`, with its time, until so many events are folded."""
    deadline = time.monotonic() + events / PER_SECOND + PATIENCE_SECONDS
    async with progress_table(url_of(settings), settings.topic_usage) as read:
        while True:
            offsets = await read()
            at = time.perf_counter()
            for partition, next_offset in offsets.items():
                steps = seen.setdefault(partition, [])
                if not steps or steps[-1][1] != next_offset:
                    steps.append((at, next_offset))
            if sum(offsets.values()) >= events:
                return
            if contender.ended or time.monotonic() > deadline:
                raise ContenderFailedError(contender.explain(f"didn't fold {events:,} events"))
            await asyncio.sleep(SAMPLE_SECONDS)
