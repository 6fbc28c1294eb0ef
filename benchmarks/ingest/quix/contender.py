"""Running the Quix Streams application."""

import asyncio
import os
from pathlib import Path

from benchmarks.harness.machine import ROOT
from benchmarks.harness.processes import Contender, running
from benchmarks.harness.progress import Offsets, group_offsets, watch
from benchmarks.harness.servers import query
from benchmarks.harness.statistics import ProgressSample
from benchmarks.harness.virtualenvs import python_of, version_of
from benchmarks.ingest.contenders import SCORES_TABLE, FilledTopic, measured, now
from benchmarks.ingest.expected_scores import check
from benchmarks.ingest.quix import FIRST
from benchmarks.ingest.results import ContenderRun

NAME = "Quix Streams"
EVERY_SECONDS = 0.05
REQUIREMENTS = Path(__file__).with_name("requirements.txt")


def version() -> str:
    """The version of Quix Streams, which is installed if necessary."""
    return version_of(python_of("quix", REQUIREMENTS), "quixstreams")


def run(topic: FilledTopic, events: int) -> ContenderRun:
    """Fold the topic's first `events` into a database of its own, and check the scores."""
    arena = topic.arena
    group = f"{topic.prefix}-quix"
    url = arena.create_database(f"quix_{topic.distribution}")
    query(url, SCORES_TABLE)
    python = python_of("quix", REQUIREMENTS)
    folder = arena.folder / group
    command = [
        str(python),
        "-m",
        "benchmarks.ingest.quix.app",
        arena.bootstrap,
        topic.usage,
        group,
        "state",
        str(events),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HEALTH_DATABASE_URL": url}
    started = now()
    with running("quix", command, environment, folder) as contender:
        samples, offsets = asyncio.run(_watch(topic, group, contender, events))
        memory = contender.memory()
        contender.wait(60)
        first = next(line for line in contender.output().splitlines() if line.startswith(FIRST))
        result = measured(
            NAME, topic, contender, samples, started=started, first_event=float(first.removeprefix(FIRST))
        )
    result.rss_mb, result.peak_rss_mb = memory
    result.checked, result.worst_difference = check(url, topic.workload, offsets)
    arena.drop_database(url)
    return result


async def _watch(
    topic: FilledTopic, group: str, contender: Contender, events: int
) -> tuple[list[ProgressSample], Offsets]:
    arena = topic.arena
    async with group_offsets(arena.bootstrap, group, topic.usage) as read:
        return await watch(read, contender, arena.postgres.pid, events, every=EVERY_SECONDS)
