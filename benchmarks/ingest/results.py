"""Results of `benchmarks.ingest`, their tables and targets. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import msgspec
from msgspec import field
from msgspec.structs import replace

from benchmarks.harness.results import Results, ThresholdVerdict, section, table, table_of
from benchmarks.harness.statistics import Latency, medians
from benchmarks.harness.terminal import at_least, numbers, option, some_of
from benchmarks.harness.workload import Distribution
from benchmarks.ingest import contender_aiokafka
from benchmarks.ingest.contenders import OUR_TWO, OURS, ContenderRun
from benchmarks.ingest.expected_scores import TOLERANCE
from benchmarks.ingest.kafka_streams import contender as kafka_streams
from benchmarks.ingest.quix import contender as quix
from benchmarks.ingest.scale import ScaleRun

CONTENDERS = ("ours", "two", "bare", "quix", "kafka-streams", "scale")
DISTRIBUTIONS: tuple[Distribution, ...] = ("zipf", "uniform")
LEAST_TIMES = {
    (OURS, "zipf", contender_aiokafka.NAME): 0.5,
    (OURS, "zipf", quix.NAME): 10.0,
    (OURS, "zipf", kafka_streams.NAME): 4.0,
    (OURS, "uniform", contender_aiokafka.NAME): 0.25,
    (OURS, "uniform", quix.NAME): 7.0,
    (OURS, "uniform", kafka_streams.NAME): 2.0,
    (OUR_TWO, "uniform", contender_aiokafka.NAME): 0.3,
}
"""By whose rate, on which topic, and which other contender's rate is one."""
MOST_P99_MS = 100.0
MOST_COST_RATIO = 1.3


@dataclass(frozen=True)
class IngestOptions:
    """Ingest on Apache Kafka and PostgreSQL: the service beside bare aiokafka, Quix Streams and Kafka Streams, on the
    same topics. Starts its own servers.
    """

    events: int = option(1_000_000, "events on each topic")
    accounts: int = option(100_000, "accounts of these events")
    partitions: int = option(12, "partitions of a topic")
    seed: int = option(1, "seed of all random choices", int)
    repeat: int = option(3, "runs of the service and of bare aiokafka, of which the median counts")
    quix_events: int = option(200_000, "most events for Quix Streams, which is slow")
    only: tuple[str, ...] = option(
        ",".join(CONTENDERS), "contenders to run; scale is few accounts and many", some_of(CONTENDERS), "A,B"
    )
    distributions: tuple[Distribution, ...] = option(
        ",".join(DISTRIBUTIONS), "distributions of events over accounts", some_of(DISTRIBUTIONS), "A,B"
    )
    scale_accounts: tuple[int, ...] = option("10_000,1_000_000", "few accounts and many to compare", numbers, "N,N")
    scale_events: int = option(200_000, "events with few accounts and with many")
    latency_seconds: int = option(30, "seconds of live events for produce to commit; 0 skips it", at_least(0))


class IngestResults(Results[IngestOptions]):
    """All of one `make bench-ingest`."""

    runs: list[ContenderRun] = field(default_factory=list)
    latency: Latency | None = None
    scale: list[ScaleRun] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Measurements that were left out, with the reason."""

    def sections(self) -> list[str]:
        found = []
        if self.runs:
            found.append(section(f"{self.options.accounts:,} accounts", _runs(self.runs)))
        if self.latency:
            found.append(section("Produce to commit", table_of([self.latency])))
        if self.scale:
            found.append(section("Few accounts and many", table_of(self.scale)))
        return found

    def verdicts(self) -> list[ThresholdVerdict]:
        latency = self.latency.p99 if self.latency else None
        rates = medians(((run.contender, run.distribution), run.events_per_second) for run in self.runs)

        def multiple(name: str, distribution: str, other: str) -> float | None:
            """The service's rate as a multiple of another contender's; None if one wasn't measured."""
            ours, theirs = rates.get((name, distribution)), rates.get((other, distribution))
            return ours / theirs if ours and theirs else None

        return [
            *(
                ThresholdVerdict(
                    f"{distribution}{name.removeprefix(OURS)}: events/s as a multiple of {other}",
                    multiple(name, distribution, other),
                    least=least,
                    decimals=2,
                )
                for (name, distribution, other), least in LEAST_TIMES.items()
            ),
            ThresholdVerdict("produce to commit, p99", latency, most=MOST_P99_MS, unit="ms"),
            self._cost_of_many(),
        ]

    def _cost_of_many(self) -> ThresholdVerdict:
        value = self.scale[-1].micros / self.scale[0].micros if len(self.scale) > 1 else None
        return ThresholdVerdict("cost per event, many accounts / few", value, most=MOST_COST_RATIO, decimals=2)

    def faults(self) -> list[str]:
        wrong = disagreements(self.runs)
        differ = ["SCORES DIFFER: " + "; ".join(wrong)] if wrong else []
        return differ + [f"LEFT OUT: {line}" for line in self.left_out]

    def raw(self) -> list[str]:
        kept = replace(self, runs=[replace(run, samples=[]) for run in self.runs])
        return [f"## Raw\n\n```json\n{msgspec.json.format(msgspec.json.encode(kept), indent=1).decode()}\n```"]

    def failed(self) -> bool:
        return bool(disagreements(self.runs))


def disagreements(runs: Sequence[ContenderRun]) -> list[str]:
    """Runs with unexpected scores."""
    return [
        f"{run.contender}, {run.distribution}: by up to {run.worst_difference:.3g} points"
        for run in runs
        if run.worst_difference is not None and run.worst_difference > TOLERANCE
    ]


def _runs(runs: Sequence[ContenderRun]) -> str:
    """A row for all runs of a contender on a topic; what wasn't measured is empty."""
    by_name: dict[tuple[str, str], list[ContenderRun]] = {}
    for run in runs:
        by_name.setdefault((run.contender, run.distribution), []).append(run)
    rows = [["contender", "topic", "runs", "events", "events/s", "least", "most", "2nd half", "µs CPU", "µs Postgres"]]
    rows[0] += ["peak MB", "others", "scores"]
    for name, theirs in by_name.items():
        rates = [run.events_per_second for run in theirs]
        rows.append([*name, str(len(theirs)), f"{theirs[-1].events:,}"])
        rows[-1] += [f"{each:,.0f}" for each in (median(rates), min(rates), max(rates))]
        rows[-1] += [
            _summary([run.second_half for run in theirs], median, ",.0f"),
            _summary([run.cpu_micros for run in theirs], median, ".1f"),
            _summary([run.postgres_cpu_micros for run in theirs], median, ".1f"),
            _summary([run.peak_rss_mb for run in theirs], max, ",.0f"),
            f"{max(run.foreign for run in theirs):.0%}",
            _agreement(theirs),
        ]
    return table(rows)


def _summary(values: Sequence[float | None], summarise: Callable[[list[float]], float], form: str) -> str:
    found = [value for value in values if value]
    return f"{summarise(found):{form}}" if found else ""


def _agreement(runs: Sequence[ContenderRun]) -> str:
    checked = [run for run in runs if run.worst_difference is not None]
    if not checked:
        return ""
    return "DIFFER" if disagreements(checked) else f"{checked[-1].checked} agree"
