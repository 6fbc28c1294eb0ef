"""`make soak`: the whole service under a steady load, watched for growth, failures and leftovers."""

import asyncio
import json
import subprocess
import sys
import time
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

import aiohttp
import msgspec

from benchmarks.harness.http_load import HttpLoad
from benchmarks.harness.machine import describe, others
from benchmarks.harness.processes import Contender, ContenderFailedError, environment, running
from benchmarks.harness.result_files import circumstances, failing_in_words, write_results
from benchmarks.harness.servers import POSTGRES_SETTINGS, Arena, prepare, query, run_servers
from benchmarks.harness.statistics import percentile
from benchmarks.harness.terminal import say
from benchmarks.reads.setup import answered, asking
from benchmarks.soak.report import WINDOW_SECONDS, SoakOutcome, SoakResults, markdown, report, verdicts
from benchmarks.soak.traffic import SoakTraffic
from benchmarks.soak.watch import watch
from benchmarks.webhooks.servers import ReceiverProcess, receiving, until
from service.embedded.ports import free_port, listens
from service.runtime.settings import Settings

PARTITIONS = 12
START_SECONDS = 60.0
LISTS = 5.0
"""Lists of the accounts in red, a second."""
TELL_SECONDS = 30.0
PROGRAM = [sys.executable, "-P", "-m", "service"]
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
_DONE = "SELECT NOT EXISTS (SELECT FROM deliveries WHERE state = 'pending')"


class SoakOptions(msgspec.Struct, frozen=True):
    """The load, and its duration."""

    seconds: int
    per_second: int
    reads: int
    accounts: int
    consumers: int
    warm_up: int
    write: bool


def parse() -> SoakOptions:
    """Read the command line; `--help` explains and exits."""
    parser = ArgumentParser(
        "python -m benchmarks.soak",
        description="The whole service under a steady load of events, reads and webhooks. Starts its own servers.",
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--seconds", type=int, metavar="S", default=600, help="how long, warm-up included")
    add("--per-second", type=int, metavar="N", default=2000, help="events")
    add("--reads", type=int, metavar="N", default=50, help="reads a second of an account's health")
    add("--accounts", type=int, metavar="N", default=20_000, help="that the events are of")
    add("--consumers", type=int, metavar="N", default=1, help="consumer processes")
    add("--warm-up", type=int, metavar="S", default=180, help="after which memory has to stay flat")
    add("--write", action="store_true", help="write benchmarks/RESULTS-soak.md")
    options = SoakOptions(**vars(parser.parse_args()))
    if options.seconds < options.warm_up + 2 * WINDOW_SECONDS:
        parser.error(f"--seconds: must be {2 * WINDOW_SECONDS:.0f} more than --warm-up at least")
    return options


@contextmanager
def serving(arena: Arena, settings: Settings, options: SoakOptions) -> Iterator[tuple[Contender, str]]:
    """`account-health up`, as an operator starts it; gives the URL of its API."""
    port = free_port()
    variables = environment(
        settings,
        HEALTH_HTTP_PORT=str(port),
        HEALTH_ENCRYPTION_KEY="only for benchmarks",
        HEALTH_WEBHOOK_ALLOW_NETWORKS="127.0.0.0/8",
        HEALTH_WEBHOOK_ALLOW_HTTP="true",
        HEALTH_LOG_FORMAT="json",
    )
    command = [*PROGRAM, "up", "--consumers", str(options.consumers)]
    with running("up", command, variables, arena.folder / "soak") as contender:
        deadline = time.monotonic() + START_SECONDS
        while not listens(port):
            if contender.ended or time.monotonic() > deadline:
                raise ContenderFailedError(contender.explain("doesn't listen"))
            time.sleep(0.1)
        yield contender, f"http://127.0.0.1:{port}"


def make_key(settings: Settings) -> str:
    """An admin's API key, made as an operator makes one."""
    made = subprocess.run(
        [*PROGRAM, "api-key", "create", "soak", "--scope", "admin"],
        env=environment(settings), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return made.stdout.strip()


async def set_up(url: str, headers: dict[str, str], receiver: ReceiverProcess) -> None:
    """A scorecard, rules, and two endpoints, over HTTP."""
    bodies = [("scorecards", SCORECARD), *(("alert-rules", rule) for rule in RULES)]
    bodies += [("webhook-endpoints", {"url": receiver.url})] * 2
    async with aiohttp.ClientSession(headers=headers, raise_for_status=True) as session:
        for path, body in bodies:
            await session.post(f"{url}/v1/{path}", json=body)


async def soak(
    contender: Contender, postgres: int, database_url: str, traffic: SoakTraffic, results: SoakResults
) -> None:
    """Send and watch; then wait until everything is folded and delivered."""
    looking = watch(contender.pid, postgres, database_url, lambda: traffic.sent.records, results.samples)
    watching = asyncio.create_task(looking)
    sending = asyncio.create_task(traffic.run(results.seconds))
    telling = asyncio.create_task(_tell(results))
    try:
        await asyncio.wait({watching, sending}, return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            watching.result()
        await sending
        ended = time.monotonic()
    finally:
        for task in (watching, telling, sending):
            task.cancel()
        await asyncio.gather(watching, telling, return_exceptions=True)
    await until(database_url, contender, folded(traffic))
    await until(database_url, contender, _DONE)
    results.outcome.drain_seconds = time.monotonic() - ended


def folded(traffic: SoakTraffic) -> str:
    """SQL that is true once everything sent is folded."""
    return f"SELECT coalesce(sum(next_offset), 0) >= {traffic.sent.records} FROM progress"


def _reads(api: str, headers: dict[str, str], options: SoakOptions) -> HttpLoad:
    path = "/v1/accounts/{account}/health"
    return HttpLoad("127.0.0.1", _port(api), path, options.accounts, 8, options.seconds, headers, options.reads)


def _lists(api: str, headers: dict[str, str], options: SoakOptions) -> HttpLoad:
    path = "/v1/accounts?band=red&sort=score&page_size=20"
    return HttpLoad("127.0.0.1", _port(api), path, options.accounts, 2, options.seconds, headers, LISTS)


def _port(api: str) -> int:
    return int(api.rpartition(":")[2])


async def _tell(results: SoakResults) -> None:
    while True:
        await asyncio.sleep(TELL_SECONDS)
        last = results.samples[-1]
        memory = ", ".join(f"{name} {value:.0f}" for name, value in last.rss_mb.items())
        say(f"  {last.at:.0f} s: {last.behind:,} behind; MB: {memory}")


def account_for(outcome: SoakOutcome, traffic: SoakTraffic, url: str) -> None:
    """Count in the database the outcome of everything sent."""
    outcome.records, outcome.damaged = traffic.sent.records, traffic.sent.damaged
    outcome.folded = query(url, "SELECT sum(next_offset)::bigint FROM progress")[0][0]
    outcome.dead_letters = query(url, "SELECT count(*) FROM dead_letters")[0][0]
    outcome.alerts = query(url, "SELECT count(*) FROM alerts")[0][0]
    states = {row[0]: row[1] for row in query(url, "SELECT state, count(*) FROM deliveries GROUP BY 1")}
    outcome.deliveries = sum(states.values())
    outcome.undelivered = outcome.deliveries - states.get("succeeded", 0)


def errors_in(output: str) -> list[str]:
    """Lines of level error or worse, and lines that aren't log lines at all."""
    found = []
    for line in output.splitlines():
        entry = None
        with suppress(ValueError):
            entry = json.loads(line)
        if "Traceback" in line or (isinstance(entry, dict) and entry.get("level") in ("error", "critical")):
            found.append(line[:500])
    return found


def run(arena: Arena, options: SoakOptions, results: SoakResults) -> None:
    """One soak."""
    settings = arena.settings(arena.create_database("soak"), f"{arena.run}-soak", f"{arena.run}-soak", PARTITIONS)
    prepare(settings)
    url, outcome = settings.database_url.get_secret_value(), results.outcome
    traffic = SoakTraffic(settings, options.accounts, options.per_second)
    headers = {"Authorization": f"Bearer {make_key(settings)}"}
    with receiving() as receiver, others() as foreign:
        with serving(arena, settings, options) as (contender, api):
            asyncio.run(set_up(api, headers, receiver))
            asyncio.run(traffic.introduce())
            asyncio.run(until(url, contender, folded(traffic)))
            with asking(_reads(api, headers, options)) as health, asking(_lists(api, headers, options)) as lists:
                asyncio.run(soak(contender, arena.postgres.pid, url, traffic, results))
                found = [answered(health), answered(lists)]
            account_for(outcome, traffic, url)
            contender.stop()
            outcome.error_lines = errors_in(contender.output())
        statement = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'account-health %'"
        outcome.connections_left = query(url, statement)[0][0]
        outcome.reads, outcome.reads_failed = (
            sum(len(each.milliseconds) for each in found),
            sum(each.failed for each in found),
        )
        outcome.read_p99_ms, outcome.list_p99_ms = (percentile(each.milliseconds, 99) for each in found)
        outcome.arrived = len(receiver.arrived())
    results.foreign = foreign.share


def main() -> None:
    """Soak, print the tables, write the raw results as JSON; the status is 1 if a check fails."""
    options = parse()
    ran = circumstances("soak", describe(), POSTGRES_SETTINGS)
    results = SoakResults(ran, options.seconds, options.per_second, options.warm_up)
    with failing_in_words(), run_servers() as arena:
        ran.machine["PostgreSQL"] = arena.postgres_version()
        ran.machine["Kafka"] = arena.kafka_version
        say(f"{options.per_second:,} events and {options.reads:,} reads a second for {options.seconds} s …")
        run(arena, options, results)
    write_results("soak", results, report(results), partial(markdown, results), options.write)
    sys.exit(not all(verdict.met for verdict in verdicts(results)))


if __name__ == "__main__":
    main()
