"""Results of `benchmarks.soak`: in their stored form, and as tables in RESULTS-soak.md."""

from collections.abc import Sequence

from msgspec import Struct, field

from benchmarks.harness.result_files import Circumstances, document, targets, warning
from benchmarks.harness.statistics import middle
from benchmarks.ingest.report import table
from benchmarks.ingest.thresholds import ThresholdVerdict
from benchmarks.soak.watch import POSTGRES, SAMPLE_SECONDS, ProcessSample

MOST_GROWTH = 5.0
"""Percent."""
POOL = 7
"""HEALTH_DATABASE_POOL_SIZE is 5 by default, and the API keeps two more for single accounts."""
WINDOW_SECONDS = 60.0
"""Memory after warm-up, and at the end, is the median over so many seconds."""
BYTES_REMEMBERED = 8
"""Of each event, for 24 hours, so that producers' duplicates are dropped: a consumer's growth on its first day."""
BESIDE = {False: "", True: ", beside 8 bytes an event"}
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH = 30


class SoakOutcome(Struct):
    """The outcome of everything that was sent."""

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


class SoakResults(Struct):
    """All of one `make soak`."""

    ran: Circumstances
    seconds: int
    per_second: int
    warm_up: int
    samples: list[ProcessSample] = field(default_factory=list)
    outcome: SoakOutcome = field(default_factory=SoakOutcome)
    foreign: float = 0.0


def verdicts(results: SoakResults) -> list[ThresholdVerdict]:
    """The checks."""
    outcome = results.outcome
    lost = abs(outcome.records - outcome.folded) + abs(outcome.damaged - outcome.dead_letters)
    warm = [sample for sample in results.samples if sample.at >= results.warm_up]
    return [
        *[
            ThresholdVerdict(
                f"growth of {name}'s memory{BESIDE[_folds(name)]}", _leaked(results, name), most=MOST_GROWTH, unit="%"
            )
            for name in results.samples[-1].rss_mb
        ],
        ThresholdVerdict("records unaccounted for", lost, most=0),
        ThresholdVerdict("reads that failed", outcome.reads_failed, most=0),
        ThresholdVerdict(
            "webhooks not delivered", outcome.undelivered + max(outcome.deliveries - outcome.arrived, 0), most=0
        ),
        ThresholdVerdict("lines of errors in the log", len(outcome.error_lines), most=0),
        ThresholdVerdict("transactions left open", sum(sample.stuck for sample in results.samples), most=0),
        ThresholdVerdict(
            "connections of a process, at most", max(max(each.connections.values()) for each in warm), most=POOL
        ),
        ThresholdVerdict("connections left at the end", outcome.connections_left, most=0),
    ]


def report(results: SoakResults) -> str:
    """All tables, as Markdown that reads well on a terminal."""
    outcome = results.outcome
    behind = max(sample.behind for sample in results.samples)
    what = [
        f"{outcome.records:,} records, {outcome.dead_letters:,} of them dead letters; at most {behind:,} behind.",
        f"{outcome.reads:,} reads, p99 {outcome.read_p99_ms:.0f} ms, of lists {outcome.list_p99_ms:.0f} ms.",
        f"{outcome.alerts:,} alerts, {outcome.deliveries:,} deliveries, {outcome.arrived:,} arrived.",
        f"All done {outcome.drain_seconds:.1f} s after the last was sent.",
    ]
    parts = [
        f"## {results.seconds} s at {results.per_second:,} events/s, the first {results.warm_up} s to warm up",
        " ".join(what),
        table(_processes(results)),
        targets(verdicts(results), decimals=1),
        *warning([results.foreign]),
        *[f"ERROR IN THE LOG: {line}" for line in outcome.error_lines[:10]],
    ]
    return "\n\n".join(parts)


def markdown(results: SoakResults) -> str:
    """The contents of RESULTS-soak.md."""
    return document("soak", results.ran, report(results))


def _processes(results: SoakResults) -> list[list[str]]:
    first, last = _windows(results)
    rows = [["process", "MB after warm-up", "MB at the end", "growth", "peak MB", "CPU", "files", "memory over time"]]
    for name in results.samples[-1].rss_mb:
        taken = [sample.rss_mb[name] for sample in results.samples]
        rows.append([name, *(f"{middle([each.rss_mb[name] for each in part]):.1f}" for part in (first, last))])
        rows[-1] += [f"{_growth(results, name):+.1f} %", f"{max(taken):.1f}", f"{_cpu(results, name):.1%}"]
        rows[-1] += [f"{first[0].files[name]} to {last[-1].files[name]}", _bars(taken)]
    rows.append([POSTGRES, *[""] * 4, f"{_cpu(results, POSTGRES):.1%}", "", ""])
    return rows


def _cpu(results: SoakResults, name: str) -> float:
    """The share of one processor that it took after warm-up."""
    (first, *_), (*_, last) = _windows(results)
    return (last.cpu_seconds[name] - first.cpu_seconds[name]) / (last.at - first.at)


def _windows(results: SoakResults) -> tuple[list[ProcessSample], list[ProcessSample]]:
    """The samples just after warm-up, and the last under load."""
    first = [each for each in results.samples if results.warm_up <= each.at < results.warm_up + WINDOW_SECONDS]
    return first, results.samples[-round(WINDOW_SECONDS / SAMPLE_SECONDS) :]


def _leaked(results: SoakResults, name: str) -> float:
    """Growth of memory in percent, apart from what a consumer has to remember."""
    if not _folds(name):
        return _growth(results, name)
    first, last = _windows(results)
    consumers = sum(map(_folds, results.samples[-1].rss_mb))
    remembered = BYTES_REMEMBERED * (last[0].folded - first[0].folded) / consumers / 1e6
    return _growth(results, name) - 100 * remembered / middle([each.rss_mb[name] for each in first])


def _folds(name: str) -> bool:
    return name.startswith("consume")


def _growth(results: SoakResults, name: str) -> float:
    first, last = (middle([each.rss_mb[name] for each in part]) for part in _windows(results))
    return 100 * (last / first - 1)


def _bars(values: Sequence[float]) -> str:
    """A picture: from nothing to the most, over the whole time."""
    step = max(len(values) / _WIDTH, 1)
    picked = [values[int(number * step)] for number in range(min(_WIDTH, len(values)))]
    most = max(values)
    return "".join(_BARS[min(int(value / most * len(_BARS)), len(_BARS) - 1)] for value in picked)
