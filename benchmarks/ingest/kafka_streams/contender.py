"""Running the Kafka Streams application."""

import asyncio
import os
from urllib.parse import urlencode, urlsplit

from benchmarks.harness.processes import Contender, running
from benchmarks.harness.progress import Offsets, group_offsets, watch
from benchmarks.harness.servers import query
from benchmarks.harness.statistics import ProgressSample
from benchmarks.ingest.contenders import SCORES_TABLE, FilledTopic, measured, now
from benchmarks.ingest.expected_scores import check
from benchmarks.ingest.kafka_streams.build import class_path
from benchmarks.ingest.results import ContenderRun

NAME = "Kafka Streams"
EVERY_SECONDS = 0.05
THREADS = 2
HEAP = "1g"
FIRST = "first event at "


def run(topic: FilledTopic) -> ContenderRun:
    """Fold the whole topic into a database of its own, and check the scores."""
    arena = topic.arena
    application = f"{topic.prefix}-streams"
    url = arena.create_database(f"streams_{topic.distribution}")
    query(url, SCORES_TABLE)
    java = ["java", f"-Xmx{HEAP}", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", class_path()]
    command = [*java, "benchmarks.HealthStreams", arena.bootstrap, topic.usage, application, "state", str(THREADS)]
    environment = {**os.environ, "JDBC_URL": _jdbc(url)}
    started = now()
    with running("kafka-streams", command, environment, arena.folder / application) as contender:
        samples, offsets = asyncio.run(_watch(topic, application, contender))
        first = next(line for line in contender.output().splitlines() if line.startswith(FIRST))
        first_event = float(first.removeprefix(FIRST))
        result = measured(NAME, topic, contender, samples, started=started, first_event=first_event)
    result.checked, result.worst_difference = check(url, topic.workload, offsets)
    arena.drop_database(url)
    return result


async def _watch(topic: FilledTopic, group: str, contender: Contender) -> tuple[list[ProgressSample], Offsets]:
    arena = topic.arena
    async with group_offsets(arena.bootstrap, group, topic.usage) as read:
        return await watch(read, contender, arena.postgres.pid, len(topic.workload), every=EVERY_SECONDS)


def _jdbc(url: str) -> str:
    """A `postgresql://` URL in Java's form; batches go as one statement of many rows."""
    parts = urlsplit(url)
    options = {"user": parts.username, "password": parts.password, "reWriteBatchedInserts": "true"}
    return f"jdbc:postgresql://{parts.hostname}:{parts.port}{parts.path}?{urlencode(options)}"
