"""Results of `benchmarks.reads`, their tables and targets. Pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from msgspec import Struct, field

from benchmarks.harness.results import Column, Foreign, Results, ThresholdVerdict, section, table, table_of
from benchmarks.harness.statistics import medians, percentile
from benchmarks.harness.terminal import at_least, option

LEAST_OF_BARE = 0.8
MOST_P99_OF_BARE = 1.5
MOST_LIST_P99_MS = 50.0


@dataclass(frozen=True)
class ReadsOptions:
    """Reads over HTTP from one process of the API. Starts its own PostgreSQL."""

    accounts: int = option(100_000, "accounts whose health is read; 0 skips it", at_least(0))
    list_accounts: int = option(1_000_000, "accounts to list; 0 skips it", at_least(0))
    connections: int = option(32, "open connections, each with a request under way")
    seconds: float = option(4.0, "seconds of each load", float, "S")
    repeat: int = option(7, "loads on each of the two servers, in turn; the median counts")
    queries: int = option(90, "lists of each kind")
    seed: int = option(1, "seed of all random choices", int)


class OneReads(Struct):
    """One load on one server. Times in milliseconds; processor times per request."""

    contender: Annotated[str, Column("server")]
    requests: int
    per_second: Annotated[float, Column("requests/s", ",.0f")]
    p50: Annotated[float, Column("p50 ms", ".1f")]
    p99: Annotated[float, Column("p99 ms", ".1f")]
    cpu_micros: Annotated[float, Column("µs CPU", ".0f")]
    postgres_cpu_micros: Annotated[float, Column("µs Postgres", ".0f")]
    load_cpu_share: Annotated[float, Column("load's CPU", ".0%")]
    """Of one processor, for the load itself."""
    failed: int
    foreign: Foreign


class ListReads(Struct):
    """Pages of one kind of list, each with its milliseconds."""

    kind: str
    milliseconds: list[float]
    foreign: Foreign


class ReadsResults(Results[ReadsOptions]):
    """All of one `make bench-reads`."""

    one: list[OneReads] = field(default_factory=list)
    lists: list[ListReads] = field(default_factory=list)

    def ratio(self, of: Callable[[OneReads], float]) -> float | None:
        """A number of the service's loads as a share of the bare route's, by the medians; None if not measured."""
        found = list(medians((run.contender, of(run)) for run in self.one).values())
        return found[1] / found[0] if len(found) == 2 else None

    def verdicts(self) -> list[ThresholdVerdict]:
        taken = [took for each in self.lists for took in each.milliseconds]
        p99 = percentile(taken, 99) if taken else None
        lists = f"lists of {self.options.list_accounts:,} accounts, p99 of all kinds"
        rate, slowest = self.ratio(lambda run: run.per_second), self.ratio(lambda run: run.p99)
        health = "health: {} as a share of a bare route's"
        return [
            ThresholdVerdict(health.format("requests/s"), rate, least=LEAST_OF_BARE, decimals=2),
            ThresholdVerdict(health.format("p99"), slowest, most=MOST_P99_OF_BARE, decimals=2),
            ThresholdVerdict(lists, p99, most=MOST_LIST_P99_MS, unit="ms", decimals=2),
        ]

    def sections(self) -> list[str]:
        options, found = self.options, []
        if self.one:
            title = f"One account of {options.accounts:,}, {options.connections} connections, one process"
            found.append(section(title, table_of(self.one)))
        if self.lists:
            title = f"Lists of {options.list_accounts:,} accounts, pages of 100"
            found.append(section(title, _lists(self.lists)))
        return found

    def faults(self) -> list[str]:
        failed = sum(run.failed for run in self.one)
        return [f"FAILED: {failed:,} requests weren't answered with 200."] if failed else []


def _lists(lists: list[ListReads]) -> str:
    rows = [["filter, in all six orders, a third of them deep", "pages", "p50 ms", "p99 ms", "worst ms", "others"]]
    for each in lists:
        times = [f"{percentile(each.milliseconds, percent):.1f}" for percent in (50, 99, 100)]
        rows.append([each.kind, str(len(each.milliseconds)), *times, f"{each.foreign:.0%}"])
    return table(rows)
