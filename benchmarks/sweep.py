"""`make bench-sweep`: the nightly sweep of a million accounts by one sweeper, while their health is read."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

from benchmarks.harness.benchmark import run_benchmark
from benchmarks.harness.http_load import Answered, HttpLoad, asking
from benchmarks.harness.machine import ForeignLoad
from benchmarks.harness.population import populated
from benchmarks.harness.processes import tree_cpu_seconds
from benchmarks.harness.progress import until
from benchmarks.harness.results import Column, Foreign, Results, ThresholdVerdict, section, table_of
from benchmarks.harness.servers import create_key, query, run_servers, url_of
from benchmarks.harness.statistics import percentile
from benchmarks.harness.terminal import option, say

HEALTH = "/v1/accounts/{account}/health"
EVERY_SECONDS = 0.5
PATIENCE_SECONDS = 3600.0
WARM_SECONDS = 1.0
NONE_IS_DUE = "SELECT NOT EXISTS (SELECT FROM scores WHERE due_at <= now())"
TARGET_ACCOUNTS = 1_000_000
MOST_SECONDS = 90.0


@dataclass(frozen=True)
class SweepOptions:
    """The nightly sweep by one sweeper, while the API is read. Starts its own PostgreSQL."""

    accounts: int = option(1_000_000, "accounts, all of them due")
    reads_per_second: float = option(50.0, "reads a second of an account's health meanwhile", float)
    connections: int = option(4, "connections of these reads")


class SweepResults(Results[SweepOptions]):
    """One sweep. Processor times per account; times of reads in milliseconds."""

    seconds: Annotated[float, Column("seconds", ".0f")] = 0.0
    """From the start of the process until no account is due."""
    per_second: Annotated[float, Column("accounts/s", ",.0f")] = 0.0
    cpu_micros: Annotated[float, Column("µs CPU", ".1f")] = 0.0
    postgres_cpu_micros: Annotated[float, Column("µs Postgres", ".1f")] = 0.0
    """Including the cost of the reads."""
    peak_rss_mb: Annotated[float, Column("peak MB", ".0f")] = 0.0
    history_rows: Annotated[int, Column("rows of history", ",")] = 0
    reads: Annotated[int, Column("reads meanwhile", ",")] = 0
    read_p50: Annotated[float, Column("p50 ms", ".1f")] = 0.0
    read_p99: Annotated[float, Column("p99 ms", ".1f")] = 0.0
    failed_reads: int = 0
    foreign: Foreign = 0.0

    def sections(self) -> list[str]:
        options = self.options
        title = f"{options.accounts:,} accounts, one sweeper, {options.reads_per_second:g} reads a second beside it"
        return [section(title, table_of([self]))]

    def verdicts(self) -> list[ThresholdVerdict]:
        seconds = self.seconds if self.options.accounts >= TARGET_ACCOUNTS else None
        return [ThresholdVerdict(f"{TARGET_ACCOUNTS:,} accounts", seconds, most=MOST_SECONDS, unit="s")]

    def faults(self) -> list[str]:
        return [f"FAILED: {self.failed_reads:,} reads weren't answered with 200."] if self.failed_reads else []


def measure(results: SweepResults) -> None:
    """Sweep accounts of yesterday to today."""
    accounts = results.options.accounts
    yesterday = datetime.now(UTC).replace(hour=20, minute=0, second=0, microsecond=0) - timedelta(days=1)
    with run_servers(results.ran, kafka=False) as arena:
        say(f"{accounts:,} accounts as of yesterday …")
        settings = populated(arena, "sweep", accounts, yesterday)
        options, key = results.options, create_key(settings, "read")
        rates = (options.connections, PATIENCE_SECONDS, key, options.reads_per_second, WARM_SECONDS)
        with (
            arena.serving(settings, "api") as (_, port),
            asking(HttpLoad(port, HEALTH, accounts, *rates)) as reads,
            ForeignLoad() as foreign,
        ):
            time.sleep(WARM_SECONDS)
            postgres_cpu = tree_cpu_seconds(arena.postgres.pid)
            with arena.service(settings, "sweep") as sweeper:
                say("sweeping …")
                swept = until(url_of(settings), sweeper, NONE_IS_DUE, PATIENCE_SECONDS, EVERY_SECONDS)
                results.seconds = asyncio.run(swept)
                results.cpu_micros = sweeper.cpu_seconds() / accounts * 1e6
                results.peak_rss_mb = sweeper.peak_mb() or 0.0
            postgres_cpu = tree_cpu_seconds(arena.postgres.pid) - postgres_cpu
            reads.ask_to_end()
            read = reads.findings(Answered)
        results.history_rows = query(url_of(settings), "SELECT count(*) FROM history")[0][0]
    results.per_second = accounts / results.seconds
    results.postgres_cpu_micros = postgres_cpu / accounts * 1e6
    results.foreign = foreign.share
    results.reads, results.failed_reads = len(read.milliseconds), read.failed
    results.read_p50, results.read_p99 = (percentile(read.milliseconds, percent) for percent in (50, 99))
    say(f"  {results.seconds:.0f} s, {results.per_second:,.0f} accounts/s")


if __name__ == "__main__":
    run_benchmark("sweep", SweepOptions, SweepResults, measure)
