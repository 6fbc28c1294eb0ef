"""Every metric, in one place. Prefix `health_`, base units, and no account id in any label."""

from prometheus_client import Counter, Gauge, Histogram

EVENTS = Counter(
    "health_events", "Events by what became of them: folded, duplicate, late or dead_letter", ["topic", "outcome"]
)
BATCH_SECONDS = Histogram(
    "health_batch_seconds",
    "Time of one batch, from the poll's return to the commit",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
BATCH_RECORDS = Histogram(
    "health_batch_records", "Records in one batch", buckets=(1, 10, 100, 1_000, 5_000, 10_000, 20_000, 50_000)
)
LAG_RECORDS = Gauge("health_lag_records", "Records of the topic that this process has yet to fold", ["topic"])
HALTED_PARTITIONS = Gauge("health_halted_partitions", "Partitions that wait for an operator")
ALERTS = Counter("health_alerts", "Alerts written", ["state"])
SWEPT = Counter("health_swept_accounts", "Accounts re-evaluated because time has passed")
REEVALUATED = Counter("health_reevaluated_accounts", "Accounts judged anew because a scorecard or rule has changed")
SWEEP_BACKLOG = Gauge("health_sweep_backlog_accounts", "Accounts that are due and not yet re-evaluated")
QUIET_SOURCES = Gauge("health_quiet_sources", "Sources of usage events that have gone quiet")
FORECAST = Counter("health_forecast_accounts", "Accounts of which it was forecast what silence would do")
FORECAST_CYCLE_SECONDS = Gauge("health_forecast_cycle_seconds", "Time that the last cycle through all accounts took")
RELAYED = Counter("health_relayed_dead_letters", "Dead letters published to their topic's dead-letter topic", ["topic"])
REQUEST_SECONDS = Histogram(
    "health_http_request_seconds",
    "Time to answer a request",
    ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)
DELIVERY_ATTEMPTS = Counter("health_delivery_attempts", "Webhook attempts", ["target", "outcome"])
DELIVERY_SECONDS = Histogram("health_delivery_attempt_seconds", "Time of one webhook attempt", ["target"])
DELIVERY_LATENCY_SECONDS = Histogram(
    "health_delivery_latency_seconds",
    "Time from a crossing to the 2xx answer to its webhook, retries included",
    ["target"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 1_800, 7_200, 43_200, 259_200),
)
DELIVERY_QUEUE_AGE_SECONDS = Gauge(
    "health_delivery_queue_age_seconds", "For how long the longest-waiting delivery has been due", ["target"]
)
DELIVERY_OPEN_BREAKERS = Gauge(
    "health_delivery_open_breakers", "Endpoints that this process leaves alone, because they are down", ["target"]
)
