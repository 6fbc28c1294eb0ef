"""The facts that a run needs, and the measurement of a finished one."""

import time
from dataclasses import dataclass

from benchmarks.harness.processes import Contender, ContenderFailedError
from benchmarks.harness.servers import Arena
from benchmarks.harness.statistics import ProgressSample, micros_per_event, rate, second_half
from benchmarks.harness.workload import Workload
from benchmarks.ingest.results import ContenderRun

MIN_STEPS = 4
"""With fewer commits than these, the rate of the second half would be chance."""


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


@dataclass(frozen=True)
class FilledTopic:
    """A filled topic: its set's prefix, and its events."""

    arena: Arena
    prefix: str
    distribution: str
    workload: Workload

    @property
    def usage(self) -> str:
        """The name of the topic with the events."""
        return f"{self.prefix}-usage"


def measured(
    name: str,
    topic: FilledTopic,
    contender: Contender,
    samples: list[ProgressSample],
    *,
    started: float,
    first_event: float | None = None,
) -> ContenderRun:
    """The run described by `samples`.

    Without the moment of the first event, the clock starts with the first sample.
    """
    last = samples[-1]
    counted = samples if first_event is None else [ProgressSample(first_event, 0), last]
    if counted[0].at >= last.at:
        raise ContenderFailedError(f"{name} was done at once: take more events")
    half = second_half(samples)
    resident, peak = contender.memory()
    cpu, postgres_cpu = micros_per_event(samples) if len(samples) > 1 else (0.0, 0.0)
    return ContenderRun(
        contender=name,
        distribution=topic.distribution,
        events=last.done,
        events_per_second=rate(counted),
        seconds=counted[-1].at - counted[0].at,
        whole_seconds=last.at - started,
        cpu_micros=cpu,
        postgres_cpu_micros=postgres_cpu,
        second_half=rate(half) if len(half) >= MIN_STEPS else None,
        rss_mb=resident or None,
        peak_rss_mb=peak or None,
        commits=len({sample.done for sample in samples if sample.done}),
        samples=samples,
    )


def now() -> float:
    """The clock that all processes share."""
    return time.time()
