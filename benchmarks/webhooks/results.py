"""Results of `benchmarks.webhooks`, their tables and targets. Pure."""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Struct, field

from benchmarks.harness.results import Column, Foreign, Results, ThresholdVerdict, section, table_of
from benchmarks.harness.statistics import Latency, medians
from benchmarks.harness.terminal import at_least, option

LEAST_PER_SECOND = 1000.0
MOST_P50_MS, MOST_P99_MS = 300.0, 1500.0


@dataclass(frozen=True)
class WebhooksOptions:
    """Webhooks of one delivery process to a receiver on this machine. Starts its own servers."""

    messages: int = option(20_000, "deliveries that wait when the process starts")
    endpoints: int = option(10, "endpoints that share them, after a run with a single one")
    repeat: int = option(3, "runs of each; the median counts")
    per_second: int = option(1000, "live events a second, from production to the webhook")
    crossing: float = option(0.1, "share of these events that set off an alert", float, "SHARE")
    seconds: int = option(30, "seconds of live events; 0 skips them", at_least(0), "S")


class Throughput(Struct):
    """One run. Processor times per delivery."""

    endpoints: Annotated[int, Column("endpoints")]
    deliveries: Annotated[int, Column("deliveries", ",")]
    per_second: Annotated[float, Column("deliveries/s", ",.0f")]
    cpu_micros: Annotated[float, Column("µs CPU", ".0f")]
    postgres_cpu_micros: Annotated[float, Column("µs Postgres", ".0f")]
    arrived_twice: Annotated[int, Column("came twice")]
    failed: int
    foreign: Foreign


class WebhooksResults(Results[WebhooksOptions]):
    """All of one `make bench-webhooks`."""

    throughput: list[Throughput] = field(default_factory=list)
    latency: Latency | None = None
    """From an event's production to its webhook's arrival."""

    def sections(self) -> list[str]:
        found = [section("Deliveries that wait, one process", table_of(self.throughput))]
        if self.latency:
            found.append(section("From an event to its webhook", table_of([self.latency])))
        return found

    def verdicts(self) -> list[ThresholdVerdict]:
        p50, p99 = (self.latency.p50, self.latency.p99) if self.latency else (None, None)
        rates = medians((run.endpoints, run.per_second) for run in self.throughput)
        return [
            *(
                ThresholdVerdict(
                    f"deliveries/s to {count} endpoint{'s' if count > 1 else ''}", rate, least=LEAST_PER_SECOND
                )
                for count, rate in rates.items()
            ),
            ThresholdVerdict("event to webhook, p50", p50, most=MOST_P50_MS, unit="ms"),
            ThresholdVerdict("event to webhook, p99", p99, most=MOST_P99_MS, unit="ms"),
        ]

    def faults(self) -> list[str]:
        failed = sum(run.failed for run in self.throughput)
        return [f"FAILED: {failed:,} deliveries didn't succeed."] if failed else []
