"""`make bench-webhooks`: the rate of one delivery process, and the time from an event to its webhook."""

import asyncio
import time
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser
from functools import partial

import msgspec

from benchmarks.harness.machine import describe, others
from benchmarks.harness.processes import tree_cpu_seconds
from benchmarks.harness.result_files import circumstances, failing_in_words, write_results
from benchmarks.harness.servers import POSTGRES_SETTINGS, Arena, prepare, query, run_servers
from benchmarks.harness.terminal import say
from benchmarks.webhooks import latency
from benchmarks.webhooks.latency import PARTITIONS, Live
from benchmarks.webhooks.report import Throughput, WebhooksResults, markdown, report
from benchmarks.webhooks.servers import ReceiverProcess, delivering, fill, receiving, until
from service.runtime.settings import Settings


class WebhooksOptions(msgspec.Struct, frozen=True):
    """The measurements to make, and their sizes."""

    messages: int
    endpoints: int
    repeat: int
    per_second: int
    crossing: float
    seconds: int
    write: bool


def parse() -> WebhooksOptions:
    """Read the command line; `--help` explains and exits."""
    parser = ArgumentParser(
        "python -m benchmarks.webhooks",
        description="Webhooks of one delivery process to a receiver on this machine. Starts its own servers.",
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--messages", type=int, metavar="N", default=20_000, help="deliveries that wait when the process starts")
    add("--endpoints", type=int, metavar="N", default=10, help="to share them, after a run with a single one")
    add("--repeat", type=int, metavar="N", default=3, help="runs of each; the median counts")
    add("--per-second", type=int, metavar="N", default=1000, help="live events, from production to the webhook")
    add("--crossing", type=float, metavar="SHARE", default=0.1, help="of events, that set off an alert")
    add("--seconds", type=int, metavar="S", default=30, help="of live events; 0 skips them")
    add("--write", action="store_true", help="write benchmarks/RESULTS-webhooks.md")
    return WebhooksOptions(**vars(parser.parse_args()))


def measure_throughput(arena: Arena, options: WebhooksOptions, results: WebhooksResults) -> None:
    """Waiting deliveries, to one endpoint and to several."""
    for number in range(options.repeat):
        for count in dict.fromkeys([1, options.endpoints]):
            name = f"webhooks_{count}_{number}"
            settings = arena.settings(arena.create_database(name), name, name, PARTITIONS)
            prepare(settings)
            with receiving() as receiver:
                asyncio.run(fill(settings, receiver.url, options.messages // count, count))
                results.throughput.append(_throughput(arena, settings, receiver, count))
            arena.drop_database(settings.database_url.get_secret_value())
            say(f"  {count} endpoints: {results.throughput[-1].per_second:,.0f} deliveries/s")


def _throughput(arena: Arena, settings: Settings, receiver: ReceiverProcess, count: int) -> Throughput:
    url = settings.database_url.get_secret_value()
    postgres_cpu = tree_cpu_seconds(arena.postgres.pid)
    with others() as foreign, delivering(arena, settings) as contender:
        asyncio.run(until(url, contender, "SELECT NOT EXISTS (SELECT FROM deliveries WHERE state = 'pending')"))
        recorded_at = time.monotonic()
        cpu = contender.cpu_seconds()
    postgres_cpu = tree_cpu_seconds(arena.postgres.pid) - postgres_cpu
    arrived = receiver.arrived()
    rows = query(url, "SELECT state, count(*) FROM deliveries GROUP BY 1")
    sent = sum(row[1] for row in rows)
    return Throughput(
        endpoints=count,
        deliveries=sent,
        # From the first arrival to the last recorded result.
        per_second=sent / (recorded_at - min(each.at for each in arrived)),
        cpu_micros=cpu / sent * 1e6,
        postgres_cpu_micros=postgres_cpu / sent * 1e6,
        arrived_twice=len(arrived) - sent,
        failed=sum(row[1] for row in rows if row[0] != "succeeded"),
        foreign=foreign.share,
    )


def main() -> None:
    """Measure, print the tables, keep the raw results as JSON."""
    options = parse()
    ran = circumstances("webhooks", describe(), POSTGRES_SETTINGS)
    results = WebhooksResults(ran)
    with failing_in_words(), run_servers() as arena:
        ran.machine["PostgreSQL"] = arena.postgres_version()
        ran.machine["Kafka"] = arena.kafka_version
        measure_throughput(arena, options, results)
        if options.seconds:
            say(f"{options.per_second:,} live events a second, {options.crossing:.0%} of which set off an alert …")
            results.latency = latency.measure(arena, Live(options.per_second, options.seconds, options.crossing))
            say(f"  p50 {results.latency.p50:.0f} ms, p99 {results.latency.p99:.0f} ms")
    write_results("webhooks", results, report(results), partial(markdown, results), options.write)


if __name__ == "__main__":
    main()
