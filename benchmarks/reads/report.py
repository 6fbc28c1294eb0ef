"""Results of `benchmarks.reads`: in their stored form, and as tables in RESULTS-reads.md."""

from msgspec import Struct, field

from benchmarks.harness.result_files import Circumstances, document, targets, warning
from benchmarks.harness.statistics import middle, percentile
from benchmarks.ingest.report import table
from benchmarks.ingest.thresholds import ThresholdVerdict

LEAST_OF_BARE = 0.6
MOST_LIST_P99_MS = 50.0


class OneReads(Struct):
    """One load on one server. Times in milliseconds; processor times per request."""

    contender: str
    requests: int
    per_second: float
    p50: float
    p99: float
    cpu_micros: float
    postgres_cpu_micros: float
    load_cpu_share: float
    """Of one processor, for the load itself."""
    failed: int
    foreign: float
    """Share of the machine's processors that others took meanwhile."""


class ListReads(Struct):
    """Pages of one kind of list, each with its milliseconds."""

    kind: str
    milliseconds: list[float]
    foreign: float


class ReadsResults(Struct):
    """All of one `make bench-reads`."""

    ran: Circumstances
    accounts: int
    list_accounts: int
    connections: int
    one: list[OneReads] = field(default_factory=list)
    lists: list[ListReads] = field(default_factory=list)


def ratio(results: ReadsResults) -> float | None:
    """Requests a second of the service as a share of the bare route's, by the medians; None if not measured."""
    rates: dict[str, list[float]] = {}
    for run in results.one:
        rates.setdefault(run.contender, []).append(run.per_second)
    if len(rates) < 2:
        return None
    bare, ours = (middle(found) for found in rates.values())
    return ours / bare


def verdicts(results: ReadsResults) -> list[ThresholdVerdict]:
    """The targets."""
    taken = [took for each in results.lists for took in each.milliseconds]
    return [
        ThresholdVerdict("health: requests/s as a share of a bare route's", ratio(results), least=LEAST_OF_BARE),
        ThresholdVerdict(
            f"lists of {results.list_accounts:,} accounts, p99 of all kinds",
            percentile(taken, 99) if taken else None,
            most=MOST_LIST_P99_MS,
            unit="ms",
        ),
    ]


def report(results: ReadsResults) -> str:
    """All tables, as Markdown that reads well on a terminal."""
    parts = []
    if results.one:
        title = f"One account of {results.accounts:,}, {results.connections} connections, one process"
        parts.append(f"## {title}\n\n{table(_one(results))}")
    if results.lists:
        parts.append(f"## Lists of {results.list_accounts:,} accounts, pages of 100\n\n{table(_lists(results))}")
    parts.append(targets(verdicts(results), 2))
    parts += warning([run.foreign for run in results.one] + [each.foreign for each in results.lists])
    if failed := sum(run.failed for run in results.one):
        parts.append(f"FAILED: {failed:,} requests weren't answered with 200.")
    return "\n\n".join(parts)


def markdown(results: ReadsResults) -> str:
    """The contents of RESULTS-reads.md."""
    return document("reads", results.ran, report(results))


def _one(results: ReadsResults) -> list[list[str]]:
    rows = [["server", "requests/s", "p50 ms", "p99 ms", "µs CPU", "µs Postgres", "load's CPU", "others"]]
    for run in results.one:
        rows.append([run.contender, f"{run.per_second:,.0f}", f"{run.p50:.1f}", f"{run.p99:.1f}"])
        rows[-1] += [f"{run.cpu_micros:.0f}", f"{run.postgres_cpu_micros:.0f}"]
        rows[-1] += [f"{run.load_cpu_share:.0%}", f"{run.foreign:.0%}"]
    return rows


def _lists(results: ReadsResults) -> list[list[str]]:
    rows = [["filter, in all six orders, a third of them deep", "pages", "p50 ms", "p99 ms", "worst ms", "others"]]
    for each in results.lists:
        taken = each.milliseconds
        times = [f"{value:.1f}" for value in (percentile(taken, 50), percentile(taken, 99), max(taken))]
        rows.append([each.kind, str(len(taken)), *times, f"{each.foreign:.0%}"])
    return rows
