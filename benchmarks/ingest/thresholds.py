"""The targets, and the verdict on each. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.harness.statistics import middle
from benchmarks.ingest import contender_aiokafka, contender_service
from benchmarks.ingest.kafka_streams import contender as kafka_streams
from benchmarks.ingest.quix import contender as quix
from benchmarks.ingest.results import ContenderRun, IngestResults

LEAST_OF_BARE = {"zipf": 0.5, "uniform": 0.3}
LEAST_TIMES_QUIX = 8.0
LEAST_TIMES_KAFKA_STREAMS = 3.0
MOST_P99_MS = 250.0


@dataclass(frozen=True)
class ThresholdVerdict:
    """One target. `value` is None where it wasn't measured."""

    what: str
    value: float | None
    least: float | None = None
    most: float | None = None
    unit: str = ""

    @property
    def met(self) -> bool | None:
        """True if it was reached; None if it wasn't measured."""
        if self.value is None:
            return None
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)


def median_rate(runs: Sequence[ContenderRun], contender: str, distribution: str) -> float | None:
    """Events a second of a contender, the median of its runs; None if it has none."""
    rates = [run.events_per_second for run in runs if (run.contender, run.distribution) == (contender, distribution)]
    return middle(rates) if rates else None


def verdicts(results: IngestResults) -> list[ThresholdVerdict]:
    """All targets, in the order of the README."""
    return [*_ratios(results), _latency(results)]


def _ratios(results: IngestResults) -> list[ThresholdVerdict]:
    found = []
    for distribution, least_of_bare in LEAST_OF_BARE.items():
        for other, least in (
            (contender_aiokafka.NAMES["decode"], least_of_bare),
            (quix.NAME, LEAST_TIMES_QUIX),
            (kafka_streams.NAME, LEAST_TIMES_KAFKA_STREAMS),
        ):
            mine = median_rate(results.runs, contender_service.NAME, distribution)
            theirs = median_rate(results.runs, other, distribution)
            value = mine / theirs if mine and theirs else None
            found.append(ThresholdVerdict(f"{distribution}: events/s as a multiple of {other}", value, least=least))
    return found


def _latency(results: IngestResults) -> ThresholdVerdict:
    value = results.latency.p99 if results.latency else None
    return ThresholdVerdict("produce to commit, p99", value, most=MOST_P99_MS, unit="ms")
