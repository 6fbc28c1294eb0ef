"""Results of `benchmarks.sweep`: in their stored form, and as tables in RESULTS-sweep.md."""

from msgspec import Struct

from benchmarks.harness.result_files import Circumstances, document, targets
from benchmarks.ingest.report import QUIET, table
from benchmarks.ingest.thresholds import ThresholdVerdict

TARGET_ACCOUNTS = 1_000_000
MOST_SECONDS = 180.0


class SweepResults(Struct):
    """One sweep. Processor times per account; times of reads in milliseconds."""

    ran: Circumstances
    accounts: int
    reads_per_second: float
    seconds: float = 0.0
    """From the start of the process until no account is due."""
    cpu_micros: float = 0.0
    postgres_cpu_micros: float = 0.0
    """Including the cost of the reads."""
    peak_rss_mb: float = 0.0
    reads: int = 0
    failed_reads: int = 0
    read_p50: float = 0.0
    read_p99: float = 0.0
    history_rows: int = 0
    foreign: float = 0.0
    """Share of the machine's processors that others took meanwhile."""


def report(results: SweepResults) -> str:
    """The tables, as Markdown that reads well on a terminal."""
    whole = results.accounts >= TARGET_ACCOUNTS
    target = ThresholdVerdict("1,000,000 accounts", results.seconds if whole else None, most=MOST_SECONDS, unit="s")
    title = f"{results.accounts:,} accounts, one sweeper, {results.reads_per_second:g} reads a second beside it"
    parts = [f"## {title}\n\n{table(_sweep(results))}", table(_reads(results)), targets([target])]
    if results.foreign > QUIET:
        parts.append(f"NOT A QUIET MACHINE: others took {results.foreign:.0%} of the processors, so it took too long.")
    if results.failed_reads:
        parts.append(f"FAILED: {results.failed_reads:,} reads weren't answered with 200.")
    return "\n\n".join(parts)


def markdown(results: SweepResults) -> str:
    """The contents of RESULTS-sweep.md."""
    return document("sweep", results.ran, report(results))


def _sweep(results: SweepResults) -> list[list[str]]:
    numbers = [f"{results.seconds:.0f}", f"{results.accounts / results.seconds:,.0f}", f"{results.cpu_micros:.1f}"]
    numbers += [f"{results.postgres_cpu_micros:.1f}", f"{results.peak_rss_mb:.0f}", f"{results.history_rows:,}"]
    head = ["accounts", "seconds", "accounts/s", "µs CPU", "µs Postgres", "peak MB", "rows of history", "others"]
    return [head, [f"{results.accounts:,}", *numbers, f"{results.foreign:.0%}"]]


def _reads(results: SweepResults) -> list[list[str]]:
    numbers = [f"{results.read_p50:.1f}", f"{results.read_p99:.1f}"]
    return [["reads meanwhile", "p50 ms", "p99 ms"], [f"{results.reads:,}", *numbers]]
