"""Rates and percentiles, from samples. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Annotated, Self, TypeVar

from msgspec import Struct

from benchmarks.harness.results import Column, Foreign

Key = TypeVar("Key")


class ProgressSample(Struct, frozen=True):
    """The number of events done at a moment, and the processor seconds used until then."""

    at: float
    done: int
    cpu: float = 0.0
    postgres_cpu: float = 0.0


class Latency(Struct):
    """The time that something took, in milliseconds, at a steady rate."""

    per_second: Annotated[float, Column("events/s", ",.0f")]
    measured: Annotated[int, Column("measured", ",")]
    p50: Annotated[float, Column("p50 ms", ",.0f")]
    p99: Annotated[float, Column("p99 ms", ",.0f")]
    worst: Annotated[float, Column("worst ms", ",.0f")]
    foreign: Foreign

    @classmethod
    def of(cls, seconds: Sequence[float], per_second: float, foreign: float) -> Self:
        """The latency that is seen in `seconds`, at least one."""
        p50, p99 = (percentile(seconds, percent) * 1000 for percent in (50, 99))
        return cls(per_second, len(seconds), p50, p99, max(seconds) * 1000, foreign)


def medians(values: Iterable[tuple[Key, float]]) -> dict[Key, float]:
    """The median of each key's values, in the order of the keys' first values."""
    by_key: dict[Key, list[float]] = {}
    for key, value in values:
        by_key.setdefault(key, []).append(value)
    return {key: median(found) for key, found in by_key.items()}


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest of `values`, at least one, that `percent` of them don't exceed."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)  # rounded up
    return ordered[max(int(rank), 1) - 1]


def rate(samples: Sequence[ProgressSample]) -> float:
    """Events a second between the first sample and the last; events before the first don't count."""
    first, last = samples[0], samples[-1]
    if last.at <= first.at:
        raise ValueError("a rate needs two samples; take more events")
    return (last.done - first.done) / (last.at - first.at)


def second_half(samples: Sequence[ProgressSample]) -> list[ProgressSample]:
    """The samples from half of the events on, when everything is warm."""
    half = samples[-1].done / 2
    return [sample for sample in samples if sample.done >= half]


def micros_per_event(samples: Sequence[ProgressSample]) -> tuple[float, float]:
    """Microseconds of processor time per event: of the process and of Postgres."""
    first, last = samples[0], samples[-1]
    events = last.done - first.done
    return (last.cpu - first.cpu) / events * 1e6, (last.postgres_cpu - first.postgres_cpu) / events * 1e6


def latencies(sent: Sequence[tuple[int, int, float]], seen: Mapping[int, Sequence[tuple[float, int]]]) -> list[float]:
    """Seconds from sending each (partition, offset, moment) to its first observed commit.

    `seen` holds, for each partition, (moment, next offset) at each change, in order. An event that was never committed
    is an error.
    """
    waits = []
    for partition, offset, moment in sorted(sent):
        committed = next((at for at, next_offset in seen.get(partition, ()) if next_offset > offset), None)
        if committed is None:
            raise ValueError(f"record {offset} of partition {partition} was never committed")
        waits.append(committed - moment)
    return waits
