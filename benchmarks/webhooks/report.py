"""Results of `benchmarks.webhooks`: in their stored form, and as tables in RESULTS-webhooks.md."""

from msgspec import Struct, field

from benchmarks.harness.result_files import Circumstances, document, targets, warning
from benchmarks.harness.statistics import middle
from benchmarks.ingest.report import table
from benchmarks.ingest.thresholds import ThresholdVerdict

LEAST_PER_SECOND = 1000.0
MOST_P50_MS, MOST_P99_MS = 300.0, 1500.0


class Throughput(Struct):
    """One run. Processor times per delivery."""

    endpoints: int
    deliveries: int
    per_second: float
    cpu_micros: float
    postgres_cpu_micros: float
    arrived_twice: int
    failed: int
    foreign: float
    """Share of the machine's processors that others took meanwhile."""


class WebhookLatency(Struct):
    """From an event's production to its webhook's arrival, in milliseconds."""

    events_per_second: int
    alerts: int
    p50: float
    p99: float
    worst: float
    foreign: float


class WebhooksResults(Struct):
    """All of one `make bench-webhooks`."""

    ran: Circumstances
    throughput: list[Throughput] = field(default_factory=list)
    latency: WebhookLatency | None = None


def verdicts(results: WebhooksResults) -> list[ThresholdVerdict]:
    """The targets."""
    counts = dict.fromkeys(run.endpoints for run in results.throughput)
    rates = [
        ThresholdVerdict(
            f"deliveries/s to {count} endpoint{'s' if count > 1 else ''}",
            middle([run.per_second for run in results.throughput if run.endpoints == count]),
            least=LEAST_PER_SECOND,
        )
        for count in counts
    ]
    latency = results.latency
    return [
        *rates,
        ThresholdVerdict("event to webhook, p50", latency.p50 if latency else None, most=MOST_P50_MS, unit="ms"),
        ThresholdVerdict("event to webhook, p99", latency.p99 if latency else None, most=MOST_P99_MS, unit="ms"),
    ]


def report(results: WebhooksResults) -> str:
    """All tables, as Markdown that reads well on a terminal."""
    parts = [f"## Deliveries that wait, one process\n\n{table(_throughput(results))}"]
    if results.latency:
        parts.append(f"## From an event to its webhook\n\n{table(_latency(results.latency))}")
    parts.append(targets(verdicts(results)))
    parts += warning(
        [run.foreign for run in results.throughput] + ([results.latency.foreign] if results.latency else [])
    )
    if failed := sum(run.failed for run in results.throughput):
        parts.append(f"FAILED: {failed:,} deliveries didn't succeed.")
    return "\n\n".join(parts)


def markdown(results: WebhooksResults) -> str:
    """The contents of RESULTS-webhooks.md."""
    return document("webhooks", results.ran, report(results))


def _throughput(results: WebhooksResults) -> list[list[str]]:
    rows = [["endpoints", "deliveries", "deliveries/s", "µs CPU", "µs Postgres", "came twice", "others"]]
    for run in results.throughput:
        rows.append([str(run.endpoints), f"{run.deliveries:,}", f"{run.per_second:,.0f}", f"{run.cpu_micros:.0f}"])
        rows[-1] += [f"{run.postgres_cpu_micros:.0f}", str(run.arrived_twice), f"{run.foreign:.0%}"]
    return rows


def _latency(latency: WebhookLatency) -> list[list[str]]:
    rows = [["events/s", "alerts", "p50 ms", "p99 ms", "worst ms", "others"]]
    rows.append([f"{latency.events_per_second:,}", f"{latency.alerts:,}"])
    rows[-1] += [f"{value:.0f}" for value in (latency.p50, latency.p99, latency.worst)] + [f"{latency.foreign:.0%}"]
    return rows
