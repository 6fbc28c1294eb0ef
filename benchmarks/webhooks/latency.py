"""Live events, and the time from each that causes an alert to its webhook."""

import asyncio
import time

from aiokafka import AIOKafkaProducer

from benchmarks.harness.machine import ForeignLoad
from benchmarks.harness.processes import Contender
from benchmarks.harness.progress import folded, until
from benchmarks.harness.servers import Arena, query, url_of
from benchmarks.harness.statistics import Latency
from benchmarks.harness.terminal import say
from benchmarks.harness.workload import paced, producing
from benchmarks.webhooks.deliveries import NONE_PENDING, fill
from benchmarks.webhooks.receiver import arrived, receiving
from benchmarks.webhooks.results import WebhooksOptions
from service.runtime.settings import Settings
from tests.support.cloud_events import record, usage

KNOWN = 1_000
"""Accounts that have fired already: their events cause nothing."""
SETTLE_SECONDS = 3.0
RULE = '{"kind": "score", "direction": "above", "level": 0}'


def measure(arena: Arena, options: WebhooksOptions) -> Latency:
    """Some events are of new accounts: their first score causes an alert."""
    say(f"{options.per_second:,} live events a second, {options.crossing:.0%} of which set off an alert …")
    settings = arena.prepared("latency")
    url = url_of(settings)
    query(url, f"INSERT INTO alert_rules (id, name, kind, document) VALUES (gen_random_uuid(), 'r', 'score', '{RULE}')")
    with receiving() as (endpoint, receiver):
        asyncio.run(fill(settings, endpoint, 0, 1))
        with (
            ForeignLoad() as foreign,
            arena.service(settings, "consume") as consumer,
            arena.service(settings, "deliver", HEALTH_LOG_LEVEL="warning") as deliverer,
        ):
            sent = asyncio.run(_produce(settings, options, consumer))
            asyncio.run(until(url, deliverer, NONE_PENDING))
        arrivals = {each.account: each.at for each in reversed(arrived(receiver))}
    found = Latency.of([arrivals[account] - at for account, at in sent.items()], options.per_second, foreign.share)
    say(f"  p50 {found.p50:.0f} ms, p99 {found.p99:.0f} ms")
    return found


async def _produce(settings: Settings, options: WebhooksOptions, consumer: Contender) -> dict[str, float]:
    """Produce at a steady rate; returns the time at which the event of each account that will alert went to the
    producer.
    """
    sent: dict[str, float] = {}
    every = max(round(1 / options.crossing), 1)
    total = options.per_second * options.seconds
    async with producing(settings.kafka_bootstrap_servers, linger_ms=0) as producer:
        for number in range(KNOWN):
            await _send(producer, settings.topic_usage, f"known-{number}")
        await producer.flush()
        await until(url_of(settings), consumer, folded(KNOWN))
        await asyncio.sleep(SETTLE_SECONDS)  # the webhooks of these
        async for number in paced(options.per_second, total):
            account = f"new-{number}" if number % every == 0 else f"known-{number % KNOWN}"
            if number % every == 0:
                sent[account] = time.monotonic()
            await _send(producer, settings.topic_usage, account)
    await until(url_of(settings), consumer, folded(KNOWN + total))
    return sent


async def _send(producer: AIOKafkaProducer, topic: str, account: str) -> None:
    _, key, value = record(topic, usage(account))
    await producer.send(topic, key=key, value=value)
