"""The dashboard for operators: what the processes do, how fast, and what waits."""

from collections.abc import Iterator, Sequence
from typing import Any

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.models.dashboard import DashboardCursorSync

from deploy.grafana import parts
from deploy.grafana.parts import (
    HALF,
    PROMETHEUS,
    QUARTER,
    THIRD,
    bars,
    in_colours_of_bands,
    lines,
    listing,
    number,
    promql,
    quantile,
    rate,
)

Panels = Sequence[Any]
"""Builders of panels; the SDK's kinds have nothing in common but that."""

FOLDED = 'sum(rate(health_events_total{outcome="folded"}[$__rate_interval]))'
FAILED = 'sum(rate(health_http_request_seconds_count{status=~"5.."}[$__rate_interval]))'


def build() -> dashboard.Dashboard:
    """The dashboard."""
    made = (
        dashboard.Dashboard("account-health: operators")
        .uid("account-health-operators")
        .description("The pipeline from Kafka to scores, the API, webhooks, and the processes. See deploy/runbook.md.")
        .tags(["account-health"])
        .time("now-3h", "now")
        .refresh("30s")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(parts.source("prometheus", PROMETHEUS, "prometheus", "Prometheus"))
    )
    for title, panels in rows():
        made.with_row(dashboard.Row(title))
        for panel in panels:
            made.with_panel(panel)
    return made


def rows() -> Iterator[tuple[str, Panels]]:
    """The rows, by title."""
    yield "At a glance", _glance()
    yield "Pipeline", _pipeline()
    yield "Time", _time()
    yield "API", _api()
    yield "Webhooks", _webhooks()
    yield "Accounts", _accounts()
    yield "Processes", _processes()


def _glance() -> Panels:
    return [
        number("Folded", "Records that became part of a score.", promql(FOLDED), unit="eps"),
        number(
            "Lag",
            "Records still to be folded.",
            promql("sum(health_lag_records)"),
            unit="short",
            limits=(10_000, 100_000),
        ),
        number(
            "Time to the score",
            "From Kafka to the score, of 95 in 100 records.",
            promql(quantile(0.95, "health_record_lag_seconds")),
            unit="s",
            limits=(10, 60),
        ),
        number(
            "Halted partitions",
            "Partitions that wait for an operator.",
            promql("sum(health_halted_partitions)"),
            unit="none",
            limits=(1, 1),
        ),
        number(
            "API errors",
            "Share of requests with a 5xx.",
            promql(f"({FAILED} or vector(0)) / {rate('health_http_request_seconds_count')}"),
            unit="percentunit",
            limits=(0.005, 0.02),
        ),
        number(
            "Waiting webhooks",
            "Time for which the longest-waiting message has been due.",
            promql("max(health_delivery_queue_age_seconds)"),
            unit="s",
            limits=(60, 300),
        ),
    ]


def _pipeline() -> Panels:
    return [
        lines(
            "Records by outcome",
            "Together they are all records that were read.",
            [promql(rate("health_events_total", "outcome"), "{{outcome}}")],
            unit="eps",
            span=HALF,
            stacked=True,
        ),
        lines(
            "Lag in records",
            "Records in the log that aren't folded yet, those of halted partitions included.",
            [promql("sum by (topic) (health_lag_records)", "{{topic}}")],
            unit="short",
            span=HALF,
        ),
        lines(
            "From Kafka to the score",
            "From the broker's timestamp to the commit.",
            [promql(quantile(q, "health_record_lag_seconds"), f"p{100 * q:g}") for q in (0.5, 0.95, 0.99)],
            unit="s",
            span=HALF,
        ),
        lines(
            "From the event to the score, p95",
            "From the event's time, given by its sender, to the commit; without loaded history.",
            [promql(quantile(0.95, "health_event_lag_seconds", "topic"), "{{topic}}")],
            unit="s",
            span=HALF,
        ),
        lines(
            "Where batches spend their time",
            "Seconds of each phase in a second. Reading and writing may run beside folding.",
            [promql(rate("health_batch_phase_seconds_sum", "phase"), "{{phase}}")],
            unit="s",
            span=THIRD,
            stacked=True,
        ),
        lines(
            "Batches",
            "Records in a batch, and its time.",
            [
                promql(quantile(0.5, "health_batch_records"), "records, p50"),
                promql(quantile(0.95, "health_batch_records"), "records, p95"),
            ],
            unit="short",
            span=THIRD,
        ),
        lines(
            "Time of a batch",
            "From its preparation to its commit.",
            [promql(quantile(q, "health_batch_seconds"), f"p{100 * q:g}") for q in (0.5, 0.95)],
            unit="s",
            span=THIRD,
        ),
        lines(
            "Dead letters",
            "Records that were refused, by topic.",
            [
                promql('sum by (topic) (increase(health_events_total{outcome="dead_letter"}[5m]))', "{{topic}}"),
            ],
            unit="short",
            span=HALF,
        ),
        lines(
            "Late and duplicate",
            "Not counted because they are older than the retention, or came before.",
            [
                promql('sum(rate(health_events_total{outcome="late"}[$__rate_interval]))', "late"),
                promql('sum(rate(health_events_total{outcome="duplicate"}[$__rate_interval]))', "duplicate"),
            ],
            unit="eps",
            span=HALF,
        ),
    ]


def _time() -> Panels:
    return [
        lines(
            "Due for re-evaluation",
            "All accounts are due after midnight UTC.",
            [promql("max(health_sweep_backlog_accounts)", "accounts")],
            unit="short",
            span=QUARTER,
        ),
        lines(
            "Longest due",
            "Time for which the longest-waiting account has been due.",
            [promql("max(health_sweep_oldest_due_seconds)", "due for")],
            unit="s",
            span=QUARTER,
        ),
        lines(
            "Evaluated without an event",
            "Evaluated because time has passed, or a scorecard or rule has changed; and forecasts.",
            [
                promql(rate("health_swept_accounts_total"), "swept"),
                promql(rate("health_reevaluated_accounts_total"), "re-evaluated"),
                promql(rate("health_forecast_accounts_total"), "forecast"),
            ],
            unit="ops",
            span=QUARTER,
        ),
        lines(
            "Alerts",
            "Written, by state.",
            [promql("sum by (state) (increase(health_alerts_total[5m]))", "{{state}}")],
            unit="short",
            span=QUARTER,
        ),
        lines(
            "Expected and observed churn",
            "Of the last finished month, by the calibration of each scorecard.",
            [
                promql("max by (scorecard) (health_calibration_expected_churn)", "{{scorecard}}: expected"),
                promql("max by (scorecard) (health_calibration_observed_churn)", "{{scorecard}}: observed"),
            ],
            unit="short",
            span=HALF,
        ),
        lines(
            "Drift of calibrations",
            "Standard deviations by which more churned than expected in the last three finished months. "
            "Beyond 3 or -3: recalibrate.",
            [promql("max by (scorecard) (health_calibration_drift)", "{{scorecard}}")],
            unit="short",
            span=HALF,
        ),
    ]


def _api() -> Panels:
    slow = f"topk(10, {quantile(0.95, 'health_http_request_seconds', 'route').replace('$__rate_interval', '15m')})"
    return [
        lines(
            "Requests",
            "By status.",
            [promql(rate("health_http_request_seconds_count", "status"), "{{status}}")],
            unit="reqps",
            span=THIRD,
            stacked=True,
        ),
        lines(
            "Time to answer",
            "Of all requests.",
            [promql(quantile(q, "health_http_request_seconds"), f"p{100 * q:g}") for q in (0.5, 0.95, 0.99)],
            unit="s",
            span=THIRD,
        ),
        bars(
            "Slowest routes, p95",
            "Of the last 15 minutes.",
            [promql(slow, "{{route}}")],
            unit="s",
            span=THIRD,
        ),
    ]


def _webhooks() -> Panels:
    return [
        lines(
            "Attempts",
            "By outcome.",
            [promql(rate("health_delivery_attempts_total", "outcome"), "{{outcome}}")],
            unit="ops",
            span=THIRD,
            stacked=True,
        ),
        lines(
            "From the crossing to the answer",
            "Retries included.",
            [
                promql(quantile(0.5, "health_delivery_latency_seconds"), "p50"),
                promql(quantile(0.95, "health_delivery_latency_seconds"), "p95"),
                promql(quantile(0.95, "health_delivery_attempt_seconds"), "one attempt, p95"),
            ],
            unit="s",
            span=THIRD,
        ),
        lines(
            "Waiting messages",
            "Time for which the longest-waiting one has been due, by target.",
            [promql("max by (target) (health_delivery_queue_age_seconds)", "{{target}}")],
            unit="s",
            span=THIRD,
        ),
        lines(
            "Endpoints",
            "By state.",
            [promql("sum by (state) (max by (target, state) (health_delivery_endpoints))", "{{state}}")],
            unit="none",
            span=HALF,
            stacked=True,
        ),
        lines(
            "Open breakers",
            "Endpoints that are sent nothing for a while because they are down.",
            [promql("sum by (target) (health_delivery_open_breakers)", "{{target}}")],
            unit="none",
            span=HALF,
        ),
    ]


def _accounts() -> Panels:
    by_band = lines(
        "Accounts by band",
        "The effective band, with overrides; without churned accounts.",
        [promql("sum by (band) (max by (band, segment, stage) (health_accounts))", "{{band}}")],
        unit="short",
        span=HALF,
        stacked=True,
    )
    return [
        in_colours_of_bands(by_band),
        bars(
            "Accounts by score",
            "Per ten points; without churned accounts.",
            [promql("max by (points) (health_accounts_by_score)", "{{points}}")],
            unit="short",
            span=QUARTER,
        ),
        bars(
            "Red by segment",
            "The segments with the most accounts; the others together.",
            [promql('sum by (segment) (max by (band, segment, stage) (health_accounts{band="red"}))', "{{segment}}")],
            unit="short",
            span=QUARTER,
        ),
    ]


def _processes() -> Panels:
    mine = "* on (instance, job) group_left health_build_info"
    return [
        lines(
            "Processor",
            "Processors in use, by process.",
            [promql(f"rate(process_cpu_seconds_total[$__rate_interval]) {mine}", "{{instance}}")],
            unit="none",
            span=QUARTER,
        ),
        lines(
            "Memory",
            "Resident, by process.",
            [promql(f"process_resident_memory_bytes {mine}", "{{instance}}")],
            unit="bytes",
            span=QUARTER,
        ),
        lines(
            "Connections to Postgres",
            "Share of the pool that is in use.",
            [
                promql(
                    'sum by (instance, pool) (health_pool_connections{state="in_use"})'
                    " / sum by (instance, pool) (health_pool_size_connections)",
                    "{{pool}} {{instance}}",
                )
            ],
            unit="percentunit",
            span=QUARTER,
        ),
        lines(
            "Postgres and Kafka answer",
            "1 if they answered the last time that a process asked.",
            [promql("min by (dependency) (health_dependency_up)", "{{dependency}}")],
            unit="none",
            span=QUARTER,
        ),
        listing(
            "Versions",
            "The version of each process.",
            promql("max by (job, instance, version) (health_build_info)", instant=True),
            span=parts.WHOLE,
            height=parts.LOW,
        ),
    ]
