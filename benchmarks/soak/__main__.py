"""`make soak`: the whole service under a steady load, watched for growth, failures and leftovers."""

import asyncio
import re
import time
from functools import partial

import aiohttp

from benchmarks.harness import HOST
from benchmarks.harness.benchmark import run_benchmark
from benchmarks.harness.http_load import Answered, HttpLoad, asking
from benchmarks.harness.machine import ForeignLoad
from benchmarks.harness.processes import Contender
from benchmarks.harness.progress import folded, until
from benchmarks.harness.servers import Arena, create_key, query, run_servers, url_of
from benchmarks.harness.statistics import percentile
from benchmarks.harness.terminal import say
from benchmarks.soak.results import SoakOptions, SoakResults
from benchmarks.soak.traffic import SoakTraffic
from benchmarks.soak.watch import watch
from benchmarks.webhooks.deliveries import NONE_PENDING
from benchmarks.webhooks.receiver import arrived, receiving

HEALTH = "/v1/accounts/{account}/health"
RED = "/v1/accounts?band=red&sort=score&page_size=20"
LISTS = 5.0
"""Lists of the accounts in red, a second."""
SCORECARD = {
    "name": "default",
    "min_coverage": 0.1,
    "measures": [
        {"measure": "open_tickets", "priorities": ["urgent"], "weight": 60, "curve": [[2, 100], [6, 0]]},
        {"measure": "active_users", "window": 30, "weight": 30, "curve": [[0, 0], [10, 100]]},
        {"measure": "nps", "window": 90, "weight": 10, "curve": [[-100, 0], [50, 100]]},
    ],
}  # fmt: skip
"""Tickets that open and close send scores up and down, through the levels of the rules."""
RULES = [
    {"name": "at risk", "kind": "score", "direction": "below", "level": 40, "clear_level": 60},
    {"name": "red", "kind": "band", "to": ["red"]},
]
OUTCOME = """
    SELECT (SELECT sum(next_offset)::bigint FROM progress),
        (SELECT count(*) FROM dead_letters), (SELECT count(*) FROM alerts)
"""
_ERROR = re.compile(r'"level": ?"(error|critical)"|Traceback')
CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'account-health %'"


def measure(results: SoakResults) -> None:
    """`account-health up`, as an operator starts it, with everything around it."""
    options = results.options
    with run_servers(results.ran) as arena:
        say(f"{options.per_second:,} events and {options.reads:,} reads a second for {options.seconds} s …")
        settings = arena.prepared("soak")
        url = url_of(settings)
        traffic = SoakTraffic(settings, options.accounts, options.per_second)
        headers = create_key(settings, "admin")
        up = arena.serving(settings, "up", "--consumers", str(options.consumers), HEALTH_LOG_FORMAT="json")
        with receiving() as (endpoint, receiver), ForeignLoad() as foreign:
            with up as (contender, port):
                asyncio.run(set_up(f"http://{HOST}:{port}", headers, endpoint))
                asyncio.run(traffic.introduce())
                asyncio.run(until(url, contender, folded(traffic.records)))
                load = partial(HttpLoad, port, accounts=options.accounts, seconds=options.seconds, headers=headers)
                with (
                    asking(load(path=HEALTH, connections=8, per_second=options.reads)) as health,
                    asking(load(path=RED, connections=2, per_second=LISTS)) as lists,
                ):
                    asyncio.run(soak(arena, contender, url, traffic, results))
                    read, listed = health.findings(Answered), lists.findings(Answered)
                count_outcome(results, traffic, url)
                contender.close()
                results.error_lines = errors_in(contender.output())
            results.connections_left = query(url, CONNECTIONS)[0][0]
            results.arrived = len(arrived(receiver))
        results.reads = len(read.milliseconds) + len(listed.milliseconds)
        results.reads_failed = read.failed + listed.failed
        results.read_p99_ms, results.list_p99_ms = (percentile(each.milliseconds, 99) for each in (read, listed))
        results.foreign = foreign.share


async def set_up(api: str, headers: dict[str, str], endpoint: str) -> None:
    """A scorecard, rules, and two endpoints, over HTTP."""
    bodies = [("scorecards", SCORECARD), *(("alert-rules", rule) for rule in RULES)]
    bodies += [("webhook-endpoints", {"url": endpoint})] * 2
    async with aiohttp.ClientSession(headers=headers, raise_for_status=True) as session:
        for path, body in bodies:
            await session.post(f"{api}/v1/{path}", json=body)


async def soak(
    arena: Arena, contender: Contender, database_url: str, traffic: SoakTraffic, results: SoakResults
) -> None:
    """Send and watch; then wait until everything is folded and delivered."""
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch(contender.pid, arena.postgres.pid, database_url, traffic, results.samples))
        await traffic.run(results.options.seconds)
        watching.cancel()
    ended = time.monotonic()
    await until(database_url, contender, folded(traffic.records))
    await until(database_url, contender, NONE_PENDING)
    results.drain_seconds = time.monotonic() - ended


def count_outcome(results: SoakResults, traffic: SoakTraffic, url: str) -> None:
    """Count in the database the outcome of everything sent."""
    results.records, results.damaged = traffic.records, traffic.damaged
    results.folded, results.dead_letters, results.alerts = query(url, OUTCOME)[0]
    states = dict(query(url, "SELECT state, count(*) FROM deliveries GROUP BY 1"))
    results.deliveries = sum(states.values())
    results.undelivered = results.deliveries - states.get("succeeded", 0)


def errors_in(log: str) -> list[str]:
    """Lines of level error or worse, and tracebacks."""
    return [line[:500] for line in log.splitlines() if _ERROR.search(line)]


if __name__ == "__main__":
    run_benchmark("soak", SoakOptions, SoakResults, measure)
