"""`make bench-reads`: an account's health beside a bare route, and lists of a million accounts."""

import http.client
import time
from datetime import UTC, datetime

from benchmarks.harness import HOST
from benchmarks.harness.benchmark import run_benchmark
from benchmarks.harness.http_load import Answered, HttpLoad, asking
from benchmarks.harness.machine import ForeignLoad
from benchmarks.harness.population import populated
from benchmarks.harness.processes import Contender, listening, tree_cpu_seconds
from benchmarks.harness.servers import Arena, create_key, run_servers, url_of
from benchmarks.harness.statistics import percentile
from benchmarks.harness.terminal import say
from benchmarks.reads.list_queries import KINDS, paths, spread
from benchmarks.reads.results import ListReads, OneReads, ReadsOptions, ReadsResults

OURS = "account-health: GET /v1/accounts/{id}/health"
BARE = "Starlette and asyncpg: one row by key"
WARM_QUERIES = 30


def measure(results: ReadsResults) -> None:
    """Measure what isn't skipped."""
    with run_servers(results.ran, kafka=False) as arena:
        if results.options.accounts:
            measure_one(arena, results)
        if results.options.list_accounts:
            measure_lists(arena, results)


def measure_one(arena: Arena, results: ReadsResults) -> None:
    """Loads on the service and on the bare route, in turn."""
    options = results.options
    say(f"{options.accounts:,} accounts to read the health of …")
    settings = populated(arena, "health_reads", options.accounts, datetime.now(UTC))
    key = create_key(settings, "read")
    bare_app = listening("reads.bare_app", url_of(settings))
    with arena.serving(settings, "api") as (api, port), bare_app as (bare, bare_port):
        for _ in range(options.repeat):
            for name, server, its_port, path, headers in (
                (BARE, bare, bare_port, "/accounts/{account}", {}),
                (OURS, api, port, "/v1/accounts/{account}/health", key),
            ):
                load = HttpLoad(its_port, path, options.accounts, options.connections, options.seconds, headers)
                results.one.append(_load(arena, name, server, load))
                say(f"  {name}: {results.one[-1].per_second:,.0f} requests/s")


def _load(arena: Arena, name: str, server: Contender, load: HttpLoad) -> OneReads:
    cpu, postgres_cpu = server.cpu_seconds(), tree_cpu_seconds(arena.postgres.pid)
    with ForeignLoad() as foreign, asking(load) as asked:
        found = asked.findings(Answered)
    requests = len(found.milliseconds)
    # The processor times include the warm-up.
    all_requests = requests * (load.seconds + load.warm_seconds) / found.seconds
    return OneReads(
        contender=name,
        requests=requests,
        per_second=requests / found.seconds,
        p50=percentile(found.milliseconds, 50),
        p99=percentile(found.milliseconds, 99),
        cpu_micros=(server.cpu_seconds() - cpu) / all_requests * 1e6,
        postgres_cpu_micros=(tree_cpu_seconds(arena.postgres.pid) - postgres_cpu) / all_requests * 1e6,
        load_cpu_share=found.cpu_seconds / found.seconds,
        failed=found.failed,
        foreign=foreign.share,
    )


def measure_lists(arena: Arena, results: ReadsResults) -> None:
    """Pages of `/v1/accounts`, one after another over one connection."""
    options, now = results.options, datetime.now(UTC)
    say(f"{options.list_accounts:,} accounts to list …")
    settings = populated(
        arena, "lists", options.list_accounts, now, ("accounts", "scores", "listed_accounts"), spread(now)
    )
    headers = create_key(settings, "read")
    with arena.serving(settings, "api") as (_, port):
        connection = http.client.HTTPConnection(HOST, port)

        def ask(kind: str, seed: int, count: int) -> list[float]:
            return [_ask(connection, path, headers) for path in paths(kind, seed, count, options.list_accounts)]

        for kind in KINDS:
            ask(kind, options.seed + 1, WARM_QUERIES)
        for kind in KINDS:
            with ForeignLoad() as foreign:
                taken = ask(kind, options.seed, options.queries)
            results.lists.append(ListReads(kind, taken, foreign.share))
            say(f"  {kind}: p99 {percentile(taken, 99):.0f} ms")
        connection.close()


def _ask(connection: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> float:
    """The milliseconds of one request."""
    started = time.perf_counter()
    connection.request("GET", path, headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    took = (time.perf_counter() - started) * 1000
    if answer.status != 200:
        raise SystemExit(f"{path} was answered with {answer.status}: {body[:500]!r}")
    return took


if __name__ == "__main__":
    run_benchmark("reads", ReadsOptions, ReadsResults, measure)
