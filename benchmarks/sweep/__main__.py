"""`make bench-sweep`: the nightly sweep of a million accounts by one sweeper, while their health is read."""

import asyncio
import signal
import sys
import time
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser
from datetime import UTC, datetime, timedelta
from functools import partial

import asyncpg
import msgspec

from benchmarks.harness.http_load import HttpLoad
from benchmarks.harness.machine import describe, others
from benchmarks.harness.processes import Contender, ContenderFailedError, environment, running, tree_cpu_seconds
from benchmarks.harness.result_files import circumstances, failing_in_words, write_results
from benchmarks.harness.servers import POSTGRES_SETTINGS, Arena
from benchmarks.harness.statistics import percentile
from benchmarks.harness.terminal import say
from benchmarks.reads.setup import HOST, answered, asking, filled, read_key, run_postgres, serving
from benchmarks.sweep.report import SweepResults, markdown, report
from service.runtime.settings import Settings

EVERY_SECONDS = 0.5
PATIENCE_SECONDS = 3600.0


class SweepOptions(msgspec.Struct, frozen=True):
    """The measurements to make, and their sizes."""

    accounts: int
    reads_per_second: float
    connections: int
    write: bool


def parse() -> SweepOptions:
    """Read the command line; `--help` explains and exits."""
    parser = ArgumentParser(
        "python -m benchmarks.sweep",
        description="The nightly sweep by one sweeper, while the API is read. Starts its own PostgreSQL.",
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--accounts", type=int, metavar="N", default=1_000_000, help="accounts, all of them due")
    add("--reads-per-second", type=float, metavar="N", default=50.0, help="of an account's health meanwhile")
    add("--connections", type=int, metavar="N", default=4, help="that they come over")
    add("--write", action="store_true", help="write benchmarks/RESULTS-sweep.md")
    return SweepOptions(**vars(parser.parse_args()))


def measure(arena: Arena, options: SweepOptions, results: SweepResults) -> None:
    """Accounts of yesterday, swept to today."""
    say(f"{options.accounts:,} accounts as of yesterday …")
    yesterday = datetime.now(UTC).replace(hour=20, minute=0, second=0, microsecond=0) - timedelta(days=1)
    settings = filled(arena, "sweep", options.accounts, yesterday)
    key = {"Authorization": f"Bearer {read_key(settings)}"}
    command = [sys.executable, "-P", "-m", "service", "sweep"]
    with serving(arena, settings) as (_, port):
        path = "/v1/accounts/{account}/health"
        load = HttpLoad(
            HOST, port, path, options.accounts, options.connections, PATIENCE_SECONDS, key,
            per_second=options.reads_per_second,
        )  # fmt: skip
        with asking(load) as reads, others() as foreign:
            time.sleep(load.warm_seconds)
            postgres_cpu = tree_cpu_seconds(arena.postgres.pid)
            with running("sweep", command, environment(settings), arena.folder / "sweep") as sweeper:
                say("sweeping …")
                results.seconds = asyncio.run(_until_none_is_due(settings, sweeper))
                results.cpu_micros = sweeper.cpu_seconds() / options.accounts * 1e6
                results.peak_rss_mb = sweeper.memory()[1]
            results.postgres_cpu_micros = (tree_cpu_seconds(arena.postgres.pid) - postgres_cpu) / options.accounts * 1e6
            reads.send_signal(signal.SIGTERM)
            read = answered(reads)
    results.foreign = foreign.share
    results.reads, results.failed_reads = len(read.milliseconds), read.failed
    results.read_p50, results.read_p99 = (percentile(read.milliseconds, percent) for percent in (50, 99))
    results.history_rows = asyncio.run(_count(settings, "SELECT count(*) FROM history"))
    say(f"  {results.seconds:.0f} s, {options.accounts / results.seconds:,.0f} accounts/s")


async def _until_none_is_due(settings: Settings, sweeper: Contender) -> float:
    """Seconds until every account was swept."""
    started = time.monotonic()
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    try:
        # Whether there is one, not their number: counting a million would be needless work.
        while await connection.fetchval("SELECT EXISTS (SELECT FROM scores WHERE due_at <= now())"):
            if sweeper.ended or time.monotonic() - started > PATIENCE_SECONDS:
                raise ContenderFailedError(sweeper.explain("left accounts that are due"))
            await asyncio.sleep(EVERY_SECONDS)
        return time.monotonic() - started
    finally:
        await connection.close()


async def _count(settings: Settings, statement: str) -> int:
    connection = await asyncpg.connect(settings.database_url.get_secret_value())
    try:
        return int(await connection.fetchval(statement))
    finally:
        await connection.close()


def main() -> None:
    """Measure, print the tables, keep the raw results as JSON."""
    options = parse()
    ran = circumstances("sweep", describe(), POSTGRES_SETTINGS)
    results = SweepResults(ran, accounts=options.accounts, reads_per_second=options.reads_per_second)
    with failing_in_words(), run_postgres() as arena:
        ran.machine["PostgreSQL"] = arena.postgres_version()
        measure(arena, options, results)
    write_results("sweep", results, report(results), partial(markdown, results), options.write)


if __name__ == "__main__":
    main()
