"""Few accounts and many: the cost of an event when only the number of existing accounts differs.

Every batch touches as many accounts as it has events, in both cases. One partition, so that this holds for any batch.
"""

import asyncio
import time
from typing import Annotated

from msgspec import Struct

from benchmarks.harness.machine import ForeignLoad
from benchmarks.harness.progress import progress_table, watch
from benchmarks.harness.results import Column, Foreign
from benchmarks.harness.servers import Arena, query, url_of
from benchmarks.harness.statistics import ProgressSample, micros_per_event, rate
from benchmarks.harness.workload import Workload, cycle, fill
from service.runtime.settings import Settings

ROUNDS = 2
"""Events of each account that come before, so that every row has been updated."""
BATCH_RECORDS = 10_000
SAMPLE_SECONDS = 0.02


class ScaleRun(Struct):
    """The cost of an event among so many accounts, in microseconds."""

    accounts: Annotated[int, Column("accounts", ",")]
    events: Annotated[int, Column("events", ",")]
    micros: Annotated[float, Column("µs/event", ".1f")]
    cpu_micros: Annotated[float, Column("µs CPU", ".1f")]
    postgres_cpu_micros: Annotated[float, Column("µs Postgres", ".1f")]
    peak_rss_mb: Annotated[float, Column("peak MB", ",.0f")]
    foreign: Foreign


def measure(arena: Arena, accounts: int, events: int) -> ScaleRun:
    """Fold some events of each account, let Postgres vacuum, then measure so many more."""
    name = f"scale_{accounts}"
    newest = int(time.time() * 1000)
    settings = arena.prepared(name, partitions=1)
    for number in range(ROUNDS):
        _fill(settings, cycle(f"{name}-{number}", events=accounts, accounts=accounts, seed=number, newest=newest))
    _, peak = _fold(arena, settings, ROUNDS * accounts)
    query(url_of(settings), "CHECKPOINT")
    # Vacuum touches every page again, so the cost of the first touch after a checkpoint isn't measured.
    query(url_of(settings), "VACUUM ANALYZE")
    _fill(settings, cycle(f"{name}-more", events=events, accounts=accounts, seed=ROUNDS, newest=newest))
    with ForeignLoad() as foreign:
        samples, later_peak = _fold(arena, settings, ROUNDS * accounts + events)
    arena.drop_database(url_of(settings))
    # What was folded before shows as a sample before the process is up.
    samples = [sample for sample in samples if sample.done > ROUNDS * accounts]
    cpu, postgres_cpu = micros_per_event(samples)
    micros = 1e6 / rate(samples)
    return ScaleRun(accounts, events, micros, cpu, postgres_cpu, max(peak, later_peak), foreign.share)


def _fill(settings: Settings, workload: Workload) -> None:
    asyncio.run(fill(settings.kafka_bootstrap_servers, settings.topic_usage, workload))


def _fold(arena: Arena, settings: Settings, until: int) -> tuple[list[ProgressSample], float]:
    """Consume until so many events are folded; returns the peak memory too."""
    commits = progress_table(url_of(settings), settings.topic_usage)
    with arena.service(settings, "consume", HEALTH_BATCH_MAX_RECORDS=str(BATCH_RECORDS)) as consumer:
        samples, _ = asyncio.run(watch(commits, [consumer], arena.postgres.pid, until, SAMPLE_SECONDS))
        return samples, consumer.peak_mb() or 0.0
