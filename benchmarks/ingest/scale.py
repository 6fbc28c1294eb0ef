"""Few accounts and many: the cost of an event when only the number of existing accounts differs.

Every batch touches as many accounts as it has events, in both cases. One partition, so that this holds for any batch.
"""

import asyncio
import time

from benchmarks.harness.machine import others
from benchmarks.harness.preload import fill
from benchmarks.harness.servers import Arena, query
from benchmarks.harness.statistics import ProgressSample, micros_per_event, rate
from benchmarks.harness.workload import Workload, cycle
from benchmarks.ingest import contender_service
from benchmarks.ingest.results import Scale
from service.runtime.settings import Settings

BATCH_RECORDS = 10_000


def measure(arena: Arena, *, accounts: int, events: int, rounds: int) -> Scale:
    """Fold `rounds` of one event of each account, let Postgres vacuum, then measure `events` more."""
    name = f"scale_{accounts}"
    newest = int(time.time() * 1000)
    settings = contender_service.prepared(arena, name, f"{arena.run}-{accounts}", 1)
    for number in range(rounds):
        _fill(settings, cycle(f"{name}-{number}", events=accounts, accounts=accounts, seed=number, newest=newest))
    loading, peak = _fold(arena, settings, rounds * accounts)
    url = settings.database_url.get_secret_value()
    query(url, "CHECKPOINT")
    # Vacuum touches every page again, so the cost of the first touch after a checkpoint isn't measured.
    query(url, "VACUUM ANALYZE")
    _fill(settings, cycle(f"{name}-more", events=events, accounts=accounts, seed=rounds, newest=newest))
    with others() as foreign:
        samples, later_peak = _fold(arena, settings, rounds * accounts + events)
    arena.drop_database(url)
    # Events folded before show as a sample before the process is up.
    samples = [sample for sample in samples if sample.done > rounds * accounts]
    cpu, postgres_cpu = micros_per_event(samples)
    return Scale(
        accounts=accounts,
        events=events,
        micros=1e6 / rate(samples),
        cpu_micros=cpu,
        postgres_cpu_micros=postgres_cpu,
        peak_rss_mb=max(peak, later_peak) or None,
        loading_events_per_second=rate(loading) if len(loading) > 1 else 0.0,
        commits=len(samples),
        foreign=foreign.share,
    )


def _fill(settings: Settings, workload: Workload) -> None:
    asyncio.run(fill(settings.kafka_bootstrap_servers, settings.topic_usage, workload))


def _fold(arena: Arena, settings: Settings, until: int) -> tuple[list[ProgressSample], float]:
    """Consume until so many events are folded; returns the peak memory too."""
    with contender_service.consuming(arena, settings, HEALTH_BATCH_MAX_RECORDS=str(BATCH_RECORDS)) as contender:
        samples, _ = contender_service.watch_progress(arena, settings, contender, until)
        return samples, contender.memory()[1]
