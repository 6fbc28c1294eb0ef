"""Servers of a run's own, which it may kill, with the scorecards, rules and the endpoint that make alerts of scores."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from scoring.scorecards.document import parse
from service.embedded.postgres import EmbeddedPostgres
from service.messaging.topics import create_topics
from service.runtime.errors import HealthError
from service.runtime.ids import new_id
from service.runtime.settings import Settings
from service.storage.database.engine import create_engine
from service.storage.database.migrate import upgrade
from service.storage.policy import rules, scorecards
from service.storage.webhooks import endpoints
from service.storage.webhooks.endpoints import NewEndpoint
from tests.faults.stream import CREATE_TIME, MAX_RECORD_BYTES
from tests.support.kafka import ApacheKafka
from tests.support.kafka_choice import is_required
from tests.support.kafka_jars import jars, what_is_missing
from tests.support.service import settings_for
from tests.support.topics import create_topics as create_foreign_topic

PARTITIONS = 4
FOREIGN = {"message.timestamp.type": "CreateTime", "message.timestamp.after.max.ms": str(2**63 - 1)}
"""Topics that others have made: the broker believes whatever the senders' clocks say."""

SCORECARDS: list[dict[str, Any]] = [
    {
        # Without usage and tickets 50. Urgent tickets only take from it, usage only adds: a score that moves one way.
        "name": "default",
        "min_coverage": 0.5,
        "measures": [
            {
                "name": "urgent",
                "measure": "open_tickets",
                "priorities": ["urgent"],
                "weight": 50,
                "curve": [[0, 100], [10, 0]],
            },
            {"measure": "usage_volume", "window": 92, "weight": 50, "curve": [[0, 0], [100, 100]], "missing": "worst"},
        ],
    },
    {
        "name": "large",
        "applies_to": {"segments": ["enterprise"]},
        "min_coverage": 0.5,
        "measures": [
            {"measure": "open_tickets", "weight": 40, "curve": [[2, 100], [5, 0]]},
            {"measure": "active_days", "window": 30, "weight": 20, "curve": [[0, 0], [20, 100]]},
            {"measure": "active_users", "window": 30, "weight": 10, "curve": [[0, 0], [20, 100]]},
            {"measure": "seat_utilization", "window": 30, "weight": 10, "curve": [[0, 0], [90, 100]]},
            {"measure": "reopen_rate", "window": 60, "weight": 10, "curve": [[0, 100], [80, 0]]},
            {"measure": "nps", "window": 90, "weight": 30, "curve": [[-100, 0], [50, 100]], "missing": "neutral"},
        ],
    },
]
RULES: list[tuple[str, str, dict[str, Any]]] = [
    ("falling", "score", {"direction": "below", "level": 25.0, "clear_level": 30.0}),
    ("rising", "score", {"direction": "above", "level": 80.0, "clear_level": 75.0}),
    ("red", "band", {"to": ["red"]}),
]
"""Name, kind and document."""


@dataclass
class Ground:
    """The servers and settings of a run."""

    postgres: EmbeddedPostgres
    kafka: ApacheKafka
    settings: Settings
    engine: AsyncEngine


def require_apache_kafka() -> None:
    """Skip if it isn't available; fail if the environment requires it."""
    why = what_is_missing()
    if why is None:
        try:
            jars()
        except HealthError as error:
            why = str(error)
    if why is not None:
        (pytest.fail if is_required() else pytest.skip)(f"needs an Apache Kafka that it may kill, but {why}")


@asynccontextmanager
async def ground(folder: Path) -> AsyncIterator[Ground]:
    """Both servers until the end of the block, ready for consumers."""
    # Not durable: what a killed machine would lose, a killed server keeps.
    postgres = EmbeddedPostgres(folder / "postgres", durable=False)
    kafka = ApacheKafka(folder / "kafka")
    engine = None
    try:
        url, bootstrap = await asyncio.gather(asyncio.to_thread(postgres.start), asyncio.to_thread(kafka.start))
        settings = settings_for(
            url, bootstrap, "faults-", kafka_partitions=PARTITIONS, max_record_bytes=MAX_RECORD_BYTES
        )
        await asyncio.to_thread(upgrade, url)
        engine = create_engine(settings, "test")
        async with engine.begin() as connection:
            await _prepare(connection, settings.retention_days)
        for signal in CREATE_TIME:
            await create_foreign_topic(bootstrap, settings.topics[signal], partitions=PARTITIONS, configs=FOREIGN)
        await create_topics(settings)
        yield Ground(postgres, kafka, settings, engine)
    finally:
        if engine is not None:
            await engine.dispose()
        await asyncio.gather(asyncio.to_thread(postgres.kill), asyncio.to_thread(kafka.kill))


async def _prepare(connection: AsyncConnection, retention: int) -> None:
    for document in SCORECARDS:
        await scorecards.publish(connection, parse(document, retention))
    for name, kind, document in RULES:
        rule = {"id": new_id(), "name": name, "kind": kind, "enabled": True, "document": document}
        await rules.create(connection, rule)
    for number in range(2):
        new = NewEndpoint(url=f"https://crm-{number}.test/hook", secret=b"sealed")
        await endpoints.create(connection, new_id(), new, datetime.now(UTC))
