"""Results of `benchmarks.soak`, their tables and checks. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from msgspec import field

from benchmarks.harness.results import Foreign, Results, ThresholdVerdict, section, table
from benchmarks.harness.terminal import at_least, option
from benchmarks.soak.watch import POSTGRES, SAMPLE_SECONDS, ProcessSample

MOST_GROWTH = 5.0
"""Percent."""
POOL = 7
"""HEALTH_DATABASE_POOL_SIZE is 5 by default, and the API keeps two more for single accounts."""
WINDOW_SECONDS = 60.0
"""Memory after warm-up, and at the end, is the median over so many seconds."""
BYTES_REMEMBERED = 8
"""Of each event, for 24 hours, so that producers' duplicates are dropped: a consumer's growth on its first day."""


@dataclass(frozen=True)
class SoakOptions:
    """The whole service under a steady load of events, reads and webhooks. Starts its own servers."""

    seconds: int = option(600, "duration in seconds, warm-up included", metavar="S")
    per_second: int = option(2000, "events a second")
    reads: int = option(50, "reads a second of an account's health")
    accounts: int = option(20_000, "accounts of the events")
    consumers: int = option(1, "consumer processes")
    warm_up: int = option(180, "seconds after which memory has to stay flat", at_least(0), "S")

    def __post_init__(self) -> None:
        if self.seconds < self.warm_up + 2 * WINDOW_SECONDS:
            raise ValueError(f"--seconds: must be {2 * WINDOW_SECONDS:.0f} more than --warm-up at least")


class SoakResults(Results[SoakOptions]):
    """All of one `make soak`: samples of its processes, and the outcome of everything that was sent."""

    samples: list[ProcessSample] = field(default_factory=list)
    records: int = 0
    folded: int = 0
    """By `progress`."""
    damaged: int = 0
    dead_letters: int = 0
    drain_seconds: float = 0.0
    """From the last record sent until all were folded and all webhooks delivered."""
    reads: int = 0
    reads_failed: int = 0
    read_p99_ms: float = 0.0
    list_p99_ms: float = 0.0
    alerts: int = 0
    deliveries: int = 0
    undelivered: int = 0
    arrived: int = 0
    """Messages at the receiver."""
    error_lines: list[str] = field(default_factory=list)
    """Lines of level error, and tracebacks, in the service's log."""
    connections_left: int = 0
    """To Postgres, after the service has ended."""
    foreign: Foreign = 0.0

    def sections(self) -> list[str]:
        options = self.options
        behind = max(sample.behind for sample in self.samples)
        what = [
            f"{self.records:,} records, {self.dead_letters:,} of them dead letters; at most {behind:,} behind.",
            f"{self.reads:,} reads, p99 {self.read_p99_ms:.0f} ms, of lists {self.list_p99_ms:.0f} ms.",
            f"{self.alerts:,} alerts, {self.deliveries:,} deliveries, {self.arrived:,} arrived.",
            f"All done {self.drain_seconds:.1f} s after the last was sent.",
        ]
        title = f"{options.seconds} s at {options.per_second:,} events/s, the first {options.warm_up} s to warm up"
        return [section(title, " ".join(what), _processes(self))]

    def verdicts(self) -> list[ThresholdVerdict]:
        warm = [sample for sample in self.samples if sample.at >= self.options.warm_up]
        checks = {
            "records unaccounted for": abs(self.records - self.folded) + abs(self.damaged - self.dead_letters),
            "reads that failed": self.reads_failed,
            "webhooks not delivered": self.undelivered + max(self.deliveries - self.arrived, 0),
            "lines of errors in the log": len(self.error_lines),
            "transactions left open": sum(sample.stuck for sample in self.samples),
            "connections left at the end": self.connections_left,
        }
        connections = max(max(each.connections.values()) for each in warm)
        return [
            *(_growth_check(self, name) for name in self.samples[-1].rss_mb),
            *(ThresholdVerdict(what, number, most=0) for what, number in checks.items()),
            ThresholdVerdict("connections of a process, at most", connections, most=POOL),
        ]

    def faults(self) -> list[str]:
        return [f"ERROR IN THE LOG: {line}" for line in self.error_lines[:10]]

    def failed(self) -> bool:
        return not all(verdict.met for verdict in self.verdicts())

    def windows(self) -> tuple[list[ProcessSample], list[ProcessSample]]:
        """The samples just after warm-up, and the last under load."""
        start = self.options.warm_up
        first = [each for each in self.samples if start <= each.at < start + WINDOW_SECONDS]
        return first, self.samples[-round(WINDOW_SECONDS / SAMPLE_SECONDS) :]


def _processes(results: SoakResults) -> str:
    first, last = results.windows()
    rows = [["process", "MB after warm-up", "MB at the end", "growth", "peak MB", "CPU", "files"]]
    for name in results.samples[-1].rss_mb:
        taken = [sample.rss_mb[name] for sample in results.samples]
        before, after = _memory(first, name), _memory(last, name)
        rows.append([name, f"{before:.1f}", f"{after:.1f}", f"{100 * (after / before - 1):+.1f} %"])
        rows[-1] += [f"{max(taken):.1f}", f"{_cpu(results, name):.1%}"]
        rows[-1] += [f"{first[0].files[name]} to {last[-1].files[name]}"]
    rows.append([POSTGRES, *[""] * 4, f"{_cpu(results, POSTGRES):.1%}", ""])
    return table(rows)


def _growth_check(results: SoakResults, name: str) -> ThresholdVerdict:
    """The growth of a process's memory, apart from what a consumer has to remember."""
    first, last = results.windows()
    remembered, beside = 0.0, ""
    if name.startswith("consume"):
        consumers = sum(each.startswith("consume") for each in results.samples[-1].rss_mb)
        remembered = BYTES_REMEMBERED * (last[0].folded - first[0].folded) / consumers / 1e6
        beside = f", beside {BYTES_REMEMBERED} bytes an event"
    growth = 100 * ((_memory(last, name) - remembered) / _memory(first, name) - 1)
    return ThresholdVerdict(f"growth of {name}'s memory{beside}", growth, most=MOST_GROWTH, unit="%", decimals=1)


def _memory(samples: Sequence[ProcessSample], name: str) -> float:
    return median(each.rss_mb[name] for each in samples)


def _cpu(results: SoakResults, name: str) -> float:
    """The share of one processor that it took after warm-up."""
    (first, *_), (*_, last) = results.windows()
    return (last.cpu_seconds[name] - first.cpu_seconds[name]) / (last.at - first.at)
