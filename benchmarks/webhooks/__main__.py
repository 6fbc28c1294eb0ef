"""`make bench-webhooks`: the rate of one delivery process, and the time from an event to its webhook."""

import asyncio
import time

from benchmarks.harness.benchmark import run_benchmark
from benchmarks.harness.machine import ForeignLoad
from benchmarks.harness.processes import Contender, tree_cpu_seconds
from benchmarks.harness.progress import until
from benchmarks.harness.servers import Arena, query, run_servers, url_of
from benchmarks.harness.terminal import say
from benchmarks.webhooks import latency
from benchmarks.webhooks.deliveries import NONE_PENDING, fill
from benchmarks.webhooks.receiver import arrived, receiving
from benchmarks.webhooks.results import Throughput, WebhooksOptions, WebhooksResults
from service.runtime.settings import Settings


def measure(results: WebhooksResults) -> None:
    """Waiting deliveries, to one endpoint and to several; then live events."""
    options = results.options
    with run_servers(results.ran) as arena:
        for number in range(options.repeat):
            for count in dict.fromkeys([1, options.endpoints]):
                settings = arena.prepared(f"webhooks_{count}_{number}")
                with receiving() as (url, receiver):
                    asyncio.run(fill(settings, url, options.messages // count, count))
                    results.throughput.append(_throughput(arena, settings, receiver, count))
                arena.drop_database(url_of(settings))
                say(f"  {count} endpoints: {results.throughput[-1].per_second:,.0f} deliveries/s")
        if options.seconds:
            results.latency = latency.measure(arena, options)


def _throughput(arena: Arena, settings: Settings, receiver: Contender, count: int) -> Throughput:
    postgres_cpu = tree_cpu_seconds(arena.postgres.pid)
    with ForeignLoad() as foreign, arena.service(settings, "deliver", HEALTH_LOG_LEVEL="warning") as contender:
        asyncio.run(until(url_of(settings), contender, NONE_PENDING))
        recorded_at = time.monotonic()
        cpu = contender.cpu_seconds()
    postgres_cpu = tree_cpu_seconds(arena.postgres.pid) - postgres_cpu
    messages = arrived(receiver)
    states = dict(query(url_of(settings), "SELECT state, count(*) FROM deliveries GROUP BY 1"))
    sent = sum(states.values())
    return Throughput(
        endpoints=count,
        deliveries=sent,
        # From the first arrival to the last recorded result.
        per_second=sent / (recorded_at - min(each.at for each in messages)),
        cpu_micros=cpu / sent * 1e6,
        postgres_cpu_micros=postgres_cpu / sent * 1e6,
        arrived_twice=len(messages) - sent,
        failed=sent - states.get("succeeded", 0),
        foreign=foreign.share,
    )


if __name__ == "__main__":
    run_benchmark("webhooks", WebhooksOptions, WebhooksResults, measure)
