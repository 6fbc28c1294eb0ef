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
MOST_RSS_MB = 500.0
RSS_ACCOUNTS = 1_000_000
MOST_COST_RATIO = 1.3
MOST_REMEMBERING_MB = 100.0
MOST_REMEMBERING_SHARE = 10.0


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
    return [*_ratios(results), _latency(results), _memory(results), _cost(results), *_remembering(results)]


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


def _memory(results: IngestResults) -> ThresholdVerdict:
    peaks = [scale.peak_rss_mb for scale in results.scale if scale.accounts >= RSS_ACCOUNTS and scale.peak_rss_mb]
    return ThresholdVerdict(
        f"peak RSS at {RSS_ACCOUNTS:,} accounts", max(peaks, default=None), most=MOST_RSS_MB, unit="MB"
    )


def _cost(results: IngestResults) -> ThresholdVerdict:
    value, name = None, "1,000,000 accounts / 10,000"
    if len(results.scale) > 1:
        few, many = results.scale[0], results.scale[-1]
        value, name = many.micros / few.micros, f"{many.accounts:,} accounts / {few.accounts:,}"
    return ThresholdVerdict(f"cost per event, {name}", value, most=MOST_COST_RATIO)


def _remembering(results: IngestResults) -> list[ThresholdVerdict]:
    found = results.remembering
    costs = [
        run.cpu_micros for run in results.runs if (run.contender, run.distribution) == (contender_service.NAME, "zipf")
    ]
    share = 100 * found.cpu_micros / middle(costs) if found and costs else None
    return [
        ThresholdVerdict(
            "memory of 5,000,000 events", found.rss_mb if found else None, most=MOST_REMEMBERING_MB, unit="MB"
        ),
        ThresholdVerdict("its share of an event's CPU, zipf", share, most=MOST_REMEMBERING_SHARE, unit="%"),
    ]
