"""Live events, and the time from each that causes an alert to its webhook."""

import asyncio
import time
from datetime import UTC, datetime

import msgspec
from aiokafka import AIOKafkaProducer
from msgspec import Struct

from benchmarks.harness.machine import others
from benchmarks.harness.processes import Contender
from benchmarks.harness.servers import Arena, prepare, query
from benchmarks.harness.statistics import percentile
from benchmarks.ingest import contender_service
from benchmarks.webhooks.report import WebhookLatency
from benchmarks.webhooks.servers import delivering, fill, receiving, until
from service.runtime.settings import Settings

PARTITIONS = 12
KNOWN = 1_000
"""Accounts that have fired already: their events cause nothing."""
TICK_SECONDS = 0.005
SETTLE_SECONDS = 3.0
RULE = '{"kind": "score", "direction": "above", "level": 0}'


class Live(Struct, frozen=True):
    """Events to produce: the rate, and the share of them that causes an alert."""

    per_second: int
    seconds: int
    crossing: float


def measure(arena: Arena, live: Live) -> WebhookLatency:
    """Some events are of new accounts: their first score causes an alert."""
    settings = arena.settings(
        arena.create_database("latency"), f"{arena.run}-webhooks", f"{arena.run}-webhooks", PARTITIONS
    )
    prepare(settings)
    url = settings.database_url.get_secret_value()
    query(url, f"INSERT INTO alert_rules (id, name, kind, document) VALUES (gen_random_uuid(), 'r', 'score', '{RULE}')")
    with receiving() as receiver:
        asyncio.run(fill(settings, receiver.url, 0, 1))
        with (
            others() as foreign,
            contender_service.consuming(arena, settings) as consumer,
            delivering(arena, settings) as deliverer,
        ):
            sent = asyncio.run(_live(settings, live, consumer))
            asyncio.run(until(url, deliverer, "SELECT NOT EXISTS (SELECT FROM deliveries WHERE state = 'pending')"))
        arrived = {each.account: each.at for each in reversed(receiver.arrived())}
    waits = [arrived[account] - at for account, at in sent.items()]
    return WebhookLatency(
        events_per_second=live.per_second,
        alerts=len(waits),
        p50=percentile(waits, 50) * 1000,
        p99=percentile(waits, 99) * 1000,
        worst=max(waits) * 1000,
        foreign=foreign.share,
    )


async def _live(settings: Settings, live: Live, consumer: Contender) -> dict[str, float]:
    """Produce at a steady rate; returns the time at which the event of each account that will alert went to the
    producer.
    """
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka_bootstrap_servers, acks="all", linger_ms=0)
    await producer.start()
    sent: dict[str, float] = {}
    every = max(round(1 / live.crossing), 1)
    try:
        for number in range(KNOWN):
            await producer.send(settings.topic_usage, *_event(f"known-{number}", f"w{number}"))
        await producer.flush()
        await _folded(settings, KNOWN, consumer)
        await asyncio.sleep(SETTLE_SECONDS)  # the webhooks of these
        total = live.per_second * live.seconds
        started = time.perf_counter()
        for number in range(total):
            due = started + number // round(live.per_second * TICK_SECONDS) * TICK_SECONDS
            if (early := due - time.perf_counter()) > 0:
                await asyncio.sleep(early)
            account = f"new-{number}" if number % every == 0 else f"known-{number % KNOWN}"
            if number % every == 0:
                sent[account] = time.monotonic()
            await producer.send(settings.topic_usage, *_event(account, str(number)))
        await producer.flush()
        await _folded(settings, KNOWN + total, consumer)
    finally:
        await producer.stop()
    return sent


def _event(account: str, event_id: str) -> tuple[bytes, bytes]:
    """Value and key of a login just now."""
    event = {
        "specversion": "1.0", "id": event_id, "source": "/bench", "type": "usage.recorded", "subject": account,
        "time": datetime.now(UTC), "data": {"feature": "login", "user_id": "ann"},
    }  # fmt: skip
    return msgspec.json.encode(event), account.encode()


async def _folded(settings: Settings, events: int, consumer: Contender) -> None:
    statement = f"SELECT coalesce(sum(next_offset), 0) >= {events} FROM progress"
    await until(settings.database_url.get_secret_value(), consumer, statement)
