"""`make bench-reads`: an account's health beside a bare route, and lists of a million accounts."""

import http.client
import time
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser
from datetime import UTC, datetime
from functools import partial

import msgspec

from benchmarks.harness.http_load import HttpLoad
from benchmarks.harness.machine import describe, others
from benchmarks.harness.processes import Contender, tree_cpu_seconds
from benchmarks.harness.result_files import circumstances, failing_in_words, write_results
from benchmarks.harness.servers import POSTGRES_SETTINGS, Arena
from benchmarks.harness.statistics import percentile
from benchmarks.harness.terminal import say
from benchmarks.reads.list_queries import KINDS, QueryKind, paths, spread
from benchmarks.reads.report import ListReads, OneReads, ReadsResults, markdown, report
from benchmarks.reads.setup import HOST, ask, filled, read_key, run_postgres, serving, serving_bare

OURS = "account-health: GET /v1/accounts/{id}/health"
BARE = "Starlette and asyncpg: one row by key"
WARM_QUERIES = 30


class ReadsOptions(msgspec.Struct, frozen=True):
    """The measurements to make, and their sizes."""

    accounts: int
    list_accounts: int
    connections: int
    seconds: float
    repeat: int
    queries: int
    seed: int
    write: bool


def parse() -> ReadsOptions:
    """Read the command line; `--help` explains and exits."""
    parser = ArgumentParser(
        "python -m benchmarks.reads",
        description="Reads over HTTP from one process of the API. Starts its own PostgreSQL.",
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--accounts", type=int, metavar="N", default=100_000, help="accounts to read the health of; 0 skips it")
    add("--list-accounts", type=int, metavar="N", default=1_000_000, help="accounts to list; 0 skips it")
    add("--connections", type=int, metavar="N", default=32, help="kept open, each with a request under way")
    add("--seconds", type=float, metavar="S", default=8.0, help="that each load lasts")
    add("--repeat", type=int, metavar="N", default=3, help="loads on each of the two, in turn; the median counts")
    add("--queries", type=int, metavar="N", default=90, help="lists of each kind")
    add("--seed", type=int, metavar="N", default=1, help="of all that is drawn")
    add("--write", action="store_true", help="write benchmarks/RESULTS-reads.md")
    return ReadsOptions(**vars(parser.parse_args()))


def measure_one(arena: Arena, options: ReadsOptions, results: ReadsResults) -> None:
    """Loads on the service and on the bare route, in turn."""
    say(f"{options.accounts:,} accounts to read the health of …")
    settings = filled(arena, "health_reads", options.accounts, datetime.now(UTC))
    key = {"Authorization": f"Bearer {read_key(settings)}"}
    with serving(arena, settings) as (api, port), serving_bare(arena, settings) as (bare, bare_port):
        for _ in range(options.repeat):
            _load(arena, options, results, BARE, bare, bare_port, "/accounts/{account}", {})
            _load(arena, options, results, OURS, api, port, "/v1/accounts/{account}/health", key)


def _load(
    arena: Arena,
    options: ReadsOptions,
    results: ReadsResults,
    name: str,
    server: Contender,
    port: int,
    path: str,
    headers: dict[str, str],
) -> None:
    load = HttpLoad(HOST, port, path, options.accounts, options.connections, options.seconds, headers)
    cpu, postgres_cpu = server.cpu_seconds(), tree_cpu_seconds(arena.postgres.pid)
    with others() as foreign:
        found = ask(load)
    requests = len(found.milliseconds)
    # The processor times include the warm-up.
    asked = requests * (load.seconds + load.warm_seconds) / found.seconds
    results.one.append(
        OneReads(
            contender=name,
            requests=requests,
            per_second=requests / found.seconds,
            p50=percentile(found.milliseconds, 50),
            p99=percentile(found.milliseconds, 99),
            cpu_micros=(server.cpu_seconds() - cpu) / asked * 1e6,
            postgres_cpu_micros=(tree_cpu_seconds(arena.postgres.pid) - postgres_cpu) / asked * 1e6,
            load_cpu_share=found.cpu_seconds / found.seconds,
            failed=found.failed,
            foreign=foreign.share,
        )
    )
    say(f"  {name}: {results.one[-1].per_second:,.0f} requests/s")


def measure_lists(arena: Arena, options: ReadsOptions, results: ReadsResults) -> None:
    """Pages of `/v1/accounts`, one after another over one connection."""
    say(f"{options.list_accounts:,} accounts to list …")
    now = datetime.now(UTC)
    settings = filled(arena, "lists", options.list_accounts, now, ("accounts", "scores"), spread(now))
    headers = {"Authorization": f"Bearer {read_key(settings)}"}
    with serving(arena, settings) as (_, port):
        connection = http.client.HTTPConnection(HOST, port)
        for kind in KINDS:
            _ask(connection, kind, headers, options.seed + 1, WARM_QUERIES, options.list_accounts)
        for kind in KINDS:
            with others() as foreign:
                taken = _ask(connection, kind, headers, options.seed, options.queries, options.list_accounts)
            results.lists.append(ListReads(kind.name, taken, foreign.share))
            say(f"  {kind.name}: p99 {percentile(taken, 99):.0f} ms")
        connection.close()


def _ask(
    connection: http.client.HTTPConnection,
    kind: QueryKind,
    headers: dict[str, str],
    seed: int,
    count: int,
    accounts: int,
) -> list[float]:
    taken = []
    for path in paths(kind, seed, count, accounts):
        started = time.perf_counter()
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        taken.append((time.perf_counter() - started) * 1000)
        if answer.status != 200:
            raise SystemExit(f"{path} was answered with {answer.status}: {body[:500]!r}")
    return taken


def main() -> None:
    """Measure, print the tables, keep the raw results as JSON."""
    options = parse()
    ran = circumstances("reads", describe(), POSTGRES_SETTINGS)
    results = ReadsResults(
        ran, accounts=options.accounts, list_accounts=options.list_accounts, connections=options.connections
    )
    with failing_in_words(), run_postgres() as arena:
        ran.machine["PostgreSQL"] = arena.postgres_version()
        if options.accounts:
            measure_one(arena, options, results)
        if options.list_accounts:
            measure_lists(arena, options, results)
    write_results("reads", results, report(results), partial(markdown, results), options.write)


if __name__ == "__main__":
    main()
