"""The traffic of a soak: events of all four signals at a steady rate, some of them sent twice, late or damaged."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import msgspec
from aiokafka import AIOKafkaProducer

from benchmarks.harness import account_id
from benchmarks.harness.workload import producing
from service.runtime.settings import Settings, Signal
from tests.support.cloud_events import cloud_event

TICK_SECONDS = 0.01
_SIGNALS: dict[Signal, int] = {"usage": 90, "ticket": 6, "survey": 3, "account": 1}
_COPIES, _LATE, _DAMAGED = 0.01, 0.005, 0.0005
_LATE_DAYS = 120
_TROUBLED = 20
"""One account in so many has tickets, and then many, so that scores go up and down."""
_BUSIEST = 1.3
"""Above 1: the factor by which some accounts are drawn more often than others."""


Record = tuple[str, bytes, bytes]
"""Topic, key and value."""


class SoakTraffic:
    """Current events of `accounts` accounts."""

    def __init__(self, settings: Settings, accounts: int, per_second: int, seed: int = 1) -> None:
        """Nothing is sent before `run`."""
        self.records = 0
        """The number sent so far."""
        self.damaged = 0
        """Of these, the number that no consumer can read."""
        self._bootstrap = settings.kafka_bootstrap_servers
        self._topics = settings.topics
        self._accounts = accounts
        self._per_second = per_second
        self._chance = Random(seed)
        self._made = 0
        self._last: Record | None = None

    async def introduce(self) -> None:
        """Send one event of every account, as fast as possible."""
        async with producing(self._bootstrap, enable_idempotence=True) as producer:
            for number in range(self._accounts):
                await self._send(producer, self._record("account", account_id(number)))

    async def run(self, seconds: float) -> None:
        """Send at the rate for so long; everything is acknowledged when this returns."""
        async with producing(self._bootstrap, enable_idempotence=True) as producer:
            already, started = self.records, time.perf_counter()
            while (elapsed := time.perf_counter() - started) < seconds:
                while self.records - already < elapsed * self._per_second:
                    await self._send(producer, self._next())
                await asyncio.sleep(TICK_SECONDS)

    async def _send(self, producer: AIOKafkaProducer, record: Record) -> None:
        topic, key, value = record
        await producer.send(topic, key=key, value=value)
        self.records += 1

    def _next(self) -> Record:
        drawn = self._chance.random()
        if drawn < _COPIES and self._last:
            return self._last
        signal = self._chance.choices(list(_SIGNALS), list(_SIGNALS.values()))[0]
        accounts = self._accounts // _TROUBLED if signal == "ticket" else self._accounts
        account = account_id(int(accounts * self._chance.random() ** _BUSIEST))
        topic, key, value = self._record(signal, account)
        if drawn > 1 - _DAMAGED:
            self.damaged += 1
            return topic, key, value[:-9]
        self._last = topic, key, value
        return self._last

    def _record(self, signal: Signal, account: str) -> Record:
        self._made += 1
        days = _LATE_DAYS if self._chance.random() < _LATE else 0
        when = (datetime.now(UTC) - timedelta(days=days)).isoformat()
        event = cloud_event(signal, account, self._data(signal), id=str(self._made), time=when)
        return self._topics[signal], account.encode(), msgspec.json.encode(event)

    def _data(self, signal: Signal) -> dict[str, Any]:
        chance = self._chance
        if signal == "usage":
            return {"feature": f"feature-{chance.randrange(12)}", "user_id": f"user-{chance.randrange(20)}"}
        if signal == "ticket":
            opened = {"ticket_id": f"T-{chance.randrange(8)}", "priority": "urgent", "created_at": datetime.now(UTC)}
            return {**opened, "status": chance.choice(("open", "solved"))}
        if signal == "survey":
            who = {"response_id": str(self._made), "respondent_id": f"user-{chance.randrange(20)}"}
            return {"survey": "nps", "score": chance.randint(0, 10), **who}
        owner = f"owner-{chance.randrange(9)}"
        return {"name": f"Customer {self._made}", "seats": chance.randint(1, 50), "owner": owner}
