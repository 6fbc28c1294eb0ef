"""Produce to commit: live events at a steady rate, and the time of each until its score is committed."""

import asyncio
import time

import asyncpg
from aiokafka import AIOKafkaProducer

from benchmarks.harness.machine import others
from benchmarks.harness.preload import fill
from benchmarks.harness.processes import Contender, ContenderFailedError
from benchmarks.harness.servers import Arena, prepare
from benchmarks.harness.statistics import latencies, percentile
from benchmarks.harness.workload import draw
from benchmarks.ingest import contender_service
from benchmarks.ingest.results import IngestLatency
from service.runtime.settings import Settings

PER_SECOND = 1000
TICK_SECONDS = 0.005
SAMPLE_SECONDS = 0.005
LINGER_MS = 0
WARM_EVENTS = 5000
PATIENCE_SECONDS = 30.0

Sent = list[tuple[int, int, float]]
Seen = dict[int, list[tuple[float, int]]]


def measure(arena: Arena, database_url: str, *, accounts: int, seconds: int, partitions: int) -> IngestLatency:
    """Uniform events over accounts that the database knows, on topics of their own.

    An event is sent when the producer takes it, and committed when `progress`, read every 5 ms, first shows it.
    """
    settings = arena.settings(database_url, f"{arena.run}-latency", f"{arena.run}-latency", partitions)
    prepare(settings)
    with others() as foreign, contender_service.consuming(arena, settings) as contender:
        waits, took = asyncio.run(_measure(settings, contender, accounts, seconds))
    return IngestLatency(
        events=len(waits),
        events_per_second=len(waits) / took,
        p50=percentile(waits, 50) * 1000,
        p99=percentile(waits, 99) * 1000,
        worst=max(waits) * 1000,
        foreign=foreign.share,
    )


async def _measure(settings: Settings, contender: Contender, accounts: int, seconds: int) -> tuple[list[float], float]:
    newest = int(time.time() * 1000)
    shape = {"accounts": accounts, "partitions": settings.kafka_partitions, "newest": newest}
    warm = draw("warm", "uniform", events=WARM_EVENTS, seed=8, **shape)
    await fill(settings.kafka_bootstrap_servers, settings.topic_usage, warm)
    live = draw("live", "uniform", events=PER_SECOND * seconds, seed=9, **shape)
    records = [each for _, keys, values in live.chunks() for each in zip(keys, values, strict=True)]
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers, acks="all", linger_ms=LINGER_MS)
    await producer.start()
    seen: Seen = {}
    watching = asyncio.create_task(_watch(settings, seen))
    try:
        await _folded(seen, len(warm), contender)
        started = time.perf_counter()
        sent = await _send(producer, settings.topic_usage, records)
        took = time.perf_counter() - started
        await _folded(seen, len(warm) + len(live), contender)
    finally:
        watching.cancel()
        await producer.stop()
    return latencies(sent, seen), took


async def _send(producer: AIOKafkaProducer, topic: str, records: list[tuple[bytes, bytes]]) -> Sent:
    """Send at a steady rate; a producer that falls behind doesn't wait."""
    receipts = []
    started = time.perf_counter()
    for number, (key, value) in enumerate(records):
        due = started + number // round(PER_SECOND * TICK_SECONDS) * TICK_SECONDS
        if (early := due - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        at = time.perf_counter()
        receipts.append((await producer.send(topic, value, key=key), at))
    return [(receipt.partition, receipt.offset, at) for future, at in receipts for receipt in [await future]]


async def _watch(settings: Settings, seen: Seen) -> None:
    """Note every change of `progress`, with its time."""
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    try:
        statement = await connection.prepare("SELECT partition, next_offset FROM progress WHERE topic = $1")
        while True:
            rows = await statement.fetch(settings.topic_usage)
            at = time.perf_counter()
            for partition, next_offset in rows:
                steps = seen.setdefault(partition, [])
                if not steps or steps[-1][1] != next_offset:
                    steps.append((at, next_offset))
            await asyncio.sleep(SAMPLE_SECONDS)
    finally:
        await connection.close()


async def _folded(seen: Seen, events: int, contender: Contender) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while sum(steps[-1][1] for steps in seen.values()) < events:
        if contender.ended or time.monotonic() > deadline:
            raise ContenderFailedError(contender.explain(f"didn't fold {events:,} events"))
        await asyncio.sleep(0.02)
