"""The contenders that fold: the topic that they read, the service, and what other programs have in common with it."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from msgspec import Struct, field

from benchmarks.harness.processes import ROOT, Contender, ContenderFailedError, running
from benchmarks.harness.progress import group_offsets, progress_table, watch
from benchmarks.harness.servers import Arena, query, url_of
from benchmarks.harness.statistics import ProgressSample, micros_per_event, rate, second_half
from benchmarks.harness.workload import Workload
from benchmarks.ingest.expected_scores import check
from service.runtime.settings import Settings

OURS = "account-health"
OUR_TWO = f"{OURS}, two processes"
MIN_STEPS = 4
"""With fewer commits than these, the rate of the second half would be chance."""
OUR_SAMPLE_SECONDS, SAMPLE_SECONDS = 0.02, 0.05
FIRST_EVENT = "first event at "
"""The words that other contenders print before the moment of their first event."""
SCORES_TABLE = """
    CREATE TABLE scores (
        account_id text PRIMARY KEY,
        score double precision,
        band text NOT NULL,
        coverage double precision NOT NULL,
        day date NOT NULL,
        measures json NOT NULL
    )
"""
"""The table that other contenders upsert to: the score's columns of the service's own table."""


class ContenderRun(Struct):
    """One contender on one topic, once."""

    contender: str
    distribution: str
    events: int
    events_per_second: float
    seconds: float
    """From the first event to the last commit."""
    cpu_micros: float = 0.0
    """Processor time of its processes, per event."""
    postgres_cpu_micros: float = 0.0
    second_half: float | None = None
    """Events a second in the second half."""
    peak_rss_mb: float | None = None
    foreign: float = 0.0
    """The share of the machine's processors that others took meanwhile; a run with much more than 0 is a poor one."""
    checked: int = 0
    """Accounts whose score was compared with the expected one."""
    worst_difference: float | None = None
    samples: list[ProgressSample] = field(default_factory=list)


@dataclass(frozen=True)
class FilledTopic:
    """A topic full of events."""

    arena: Arena
    prefix: str
    """Of the names of all topics of its set."""
    usage: str
    """Its own name."""
    distribution: str
    workload: Workload


def run_ours(topic: FilledTopic, settings: Settings, name: str = OURS) -> ContenderRun:
    """Have `account-health consume` fold the whole topic into a prepared database, and check the scores.

    It is one process, or two of one group if `name` is OUR_TWO.
    """
    commits = progress_table(url_of(settings), topic.usage)
    postgres, events = topic.arena.postgres.pid, len(topic.workload)
    with ExitStack() as running_processes:
        processes = [
            running_processes.enter_context(topic.arena.service(settings, "consume"))
            for _ in range(2 if name == OUR_TWO else 1)
        ]
        samples, offsets = asyncio.run(watch(commits, processes, postgres, events, OUR_SAMPLE_SECONDS))
        run = measured(name, topic, processes, samples)
    run.checked, run.worst_difference = check(url_of(settings), topic.workload, offsets)
    return run


def run_other(
    name: str, topic: FilledTopic, command: Sequence[str], database: str, variables: Mapping[str, str], events: int
) -> ContenderRun:
    """Have a program fold the topic's first `events` into a database with nothing but `SCORES_TABLE`; check the scores.

    Its group's name is that of its database. It prints FIRST_EVENT and a moment.
    """
    arena, group = topic.arena, group_of(topic, name)
    query(database, SCORES_TABLE)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **variables}
    with running(group, command, environment, arena.folder / group) as contender:
        commits = group_offsets(arena.bootstrap, group, topic.usage)
        samples, offsets = asyncio.run(watch(commits, [contender], arena.postgres.pid, events, SAMPLE_SECONDS))
        first = next(line for line in contender.output().splitlines() if line.startswith(FIRST_EVENT))
        run = measured(name, topic, [contender], samples, float(first.removeprefix(FIRST_EVENT)))
    run.checked, run.worst_difference = check(database, topic.workload, offsets)
    arena.drop_database(database)
    return run


def group_of(topic: FilledTopic, name: str) -> str:
    """The consumer group of another contender."""
    return f"{topic.prefix}-{name.lower().replace(' ', '-')}"


def measured(
    name: str,
    topic: FilledTopic,
    processes: Sequence[Contender],
    samples: list[ProgressSample],
    first_event: float | None = None,
) -> ContenderRun:
    """The run described by `samples`. Its clock starts with the first event, or else with the first sample."""
    last = samples[-1]
    counted = samples if first_event is None else [ProgressSample(first_event, 0), last]
    if counted[0].at >= last.at:
        raise ContenderFailedError(f"{name} was done at once: take more events")
    half = second_half(samples)
    cpu, postgres_cpu = micros_per_event(samples) if len(samples) > 1 else (0.0, 0.0)
    return ContenderRun(
        contender=name,
        distribution=topic.distribution,
        events=last.done,
        events_per_second=rate(counted),
        seconds=counted[-1].at - counted[0].at,
        cpu_micros=cpu,
        postgres_cpu_micros=postgres_cpu,
        second_half=rate(half) if len(half) >= MIN_STEPS else None,
        peak_rss_mb=max(process.peak_mb() or 0.0 for process in processes) or None,
        samples=samples,
    )
