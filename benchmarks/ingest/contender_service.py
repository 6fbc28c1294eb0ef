"""The service itself: one `account-health consume`, started when the topic is already full."""

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.harness.processes import Contender, environment, running
from benchmarks.harness.progress import Offsets, progress_table, watch
from benchmarks.harness.servers import Arena, prepare
from benchmarks.harness.statistics import ProgressSample
from benchmarks.ingest.contenders import FilledTopic, measured, now
from benchmarks.ingest.expected_scores import check
from benchmarks.ingest.results import ContenderRun
from service.runtime.settings import Settings

NAME = "account-health"
EVERY_SECONDS = 0.02


@contextmanager
def consuming(arena: Arena, settings: Settings, **more: str) -> Iterator[Contender]:
    """One consumer process, as an operator starts it."""
    command = [sys.executable, "-P", "-m", "service", "consume"]
    folder = arena.folder / settings.kafka_group
    with running("consume", command, environment(settings, **more), folder) as contender:
        yield contender


def watch_progress(
    arena: Arena, settings: Settings, contender: Contender, events: int
) -> tuple[list[ProgressSample], Offsets]:
    """Samples until `events` of the usage topic are folded and committed."""

    async def run() -> tuple[list[ProgressSample], Offsets]:
        url = settings.database_url.get_secret_value()
        async with progress_table(url, settings.topic_usage) as read:
            return await watch(read, contender, arena.postgres.pid, events, every=EVERY_SECONDS)

    return asyncio.run(run())


def run(topic: FilledTopic, settings: Settings) -> ContenderRun:
    """Fold the whole topic into a prepared database, and check the scores."""
    events = len(topic.workload)
    started = now()
    with consuming(topic.arena, settings) as contender:
        samples, offsets = watch_progress(topic.arena, settings, contender, events)
        result = measured(NAME, topic, contender, samples, started=started)
    result.checked, result.worst_difference = check(settings.database_url.get_secret_value(), topic.workload, offsets)
    return result


def prepared(arena: Arena, database: str, prefix: str, partitions: int) -> Settings:
    """Settings of a new database and group for topics that may exist already."""
    settings = arena.settings(arena.create_database(database), prefix, f"{prefix}-{database}", partitions)
    prepare(settings)
    return settings
