"""Results of `benchmarks.versions`: in their stored form, and as tables in RESULTS-beside.md."""

from msgspec import Struct, field

from benchmarks.harness.result_files import Circumstances, document, targets
from benchmarks.harness.statistics import middle
from benchmarks.ingest.report import table
from benchmarks.ingest.results import ContenderRun
from benchmarks.ingest.thresholds import ThresholdVerdict

LEAST_OF_EARLIER = 0.9


class Pair(Struct):
    """A run of each version."""

    distribution: str
    earlier: ContenderRun
    this: ContenderRun

    @property
    def rate(self) -> float:
        """Events a second as a share of the earlier version's."""
        return self.this.events_per_second / self.earlier.events_per_second

    @property
    def cpu(self) -> float:
        """Processor time of the process, likewise."""
        return self.this.cpu_micros / self.earlier.cpu_micros

    @property
    def postgres_cpu(self) -> float:
        """Processor time of Postgres, likewise."""
        return self.this.postgres_cpu_micros / self.earlier.postgres_cpu_micros


class VersionsResults(Struct):
    """All pairs."""

    ran: Circumstances
    events: int
    pairs: list[Pair] = field(default_factory=list)

    @property
    def distributions(self) -> list[str]:
        """The distributions that were measured."""
        return list(dict.fromkeys(pair.distribution for pair in self.pairs))

    def of(self, distribution: str) -> list[Pair]:
        """The pairs of a distribution."""
        return [pair for pair in self.pairs if pair.distribution == distribution]


def report(results: VersionsResults) -> str:
    """The tables, as Markdown that reads well on a terminal."""
    verdicts = [
        ThresholdVerdict(f"{distribution}: events/s as a share of the earlier version's", rate, least=LEAST_OF_EARLIER)
        for distribution in results.distributions
        if (rate := middle([pair.rate for pair in results.of(distribution)]))
    ]
    parts = [
        f"## {results.events:,} events, one process of each version",
        table(_pairs(results)),
        table(_middles(results)),
    ]
    return "\n\n".join([*parts, targets(verdicts, 3)])


def markdown(results: VersionsResults) -> str:
    """The contents of RESULTS-beside.md."""
    return document("beside an earlier version", results.ran, report(results))


def _pairs(results: VersionsResults) -> list[list[str]]:
    rows = [["topic", "events/s", "earlier", "share", "µs CPU", "earlier", "µs Postgres", "earlier"]]
    for pair in results.pairs:
        this, earlier = pair.this, pair.earlier
        rates = [f"{this.events_per_second:,.0f}", f"{earlier.events_per_second:,.0f}", f"{pair.rate:.2f}"]
        cpu = [f"{this.cpu_micros:.1f}", f"{earlier.cpu_micros:.1f}"]
        postgres = [f"{this.postgres_cpu_micros:.1f}", f"{earlier.postgres_cpu_micros:.1f}"]
        rows.append([pair.distribution, *rates, *cpu, *postgres])
    return rows


def _middles(results: VersionsResults) -> list[list[str]]:
    rows = [["medians of shares", "events/s", "CPU", "Postgres"]]
    for distribution in results.distributions:
        pairs = results.of(distribution)
        shares = ([pair.rate for pair in pairs], [pair.cpu for pair in pairs], [pair.postgres_cpu for pair in pairs])
        rows.append([distribution, *(f"{middle(share):.2f}" for share in shares)])
    return rows
