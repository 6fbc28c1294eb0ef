"""Every metric, in one place. Prefix `health_`, base units, and no account id in any label.

deploy/metrics.md says what each metric means and how to read it; a test compares that table with this module. Every
process registers all of them, and exposes those with a value. Events are never observed one by one, but
per batch, request or attempt. Some gauges show what all processes share, in Postgres: several sweepers or deliveries
show the same number, so take the maximum, not the sum; their help texts say so.
"""

from importlib.metadata import version

from prometheus_client import Counter, Gauge, Histogram, Info, disable_created_metrics

from service.observability.collectors import BatchHistogram, PoolGauges

# The time at which a counter began would be one more series each, which nothing here reads.
disable_created_metrics()  # type: ignore[no-untyped-call] # it ships without annotations

# --- The process ------------------------------------------------------------------------------------------------

BUILD = Info("health_build", "The version that runs, always 1")
BUILD.info({"version": version("account-health")})
DEPENDENCY_UP = Gauge(
    "health_dependency_up",
    "1 if postgres or kafka answered the last time that this process asked, else 0",
    ["dependency"],
)
CLOCK_AHEAD_SECONDS = Gauge(
    "health_clock_ahead_seconds",
    "Seconds by which this process's clock is ahead of the database's, negative if behind; beyond 300 it waits",
)
LOCK_WAIT_SECONDS = Gauge(
    "health_postgres_lock_wait_seconds",
    "Longest time that a statement of any process of the service has waited for a lock; read by the delivery process",
)
POOL = PoolGauges("health_pool_size_connections", "health_pool_connections")

# --- Folding: by consumers ----------------------------------------------------------------------------------------

EVENTS = Counter(
    "health_events",
    "Records by outcome: folded, duplicate, late, dead_letter or tombstone; together all that were read",
    ["topic", "outcome"],
)
LAG_RECORDS = Gauge("health_lag_records", "Records still to be folded, of this process's partitions", ["topic"])
RECORD_LAG_SECONDS = BatchHistogram(
    "health_record_lag_seconds",
    "Time from the broker's timestamp of a record to the commit that folded it",
    "topic",
    buckets=(0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 7_200, 43_200),
)
EVENT_LAG_SECONDS = BatchHistogram(
    "health_event_lag_seconds",
    "Time from when an event happened to the commit that folded it; without loaded history, duplicates and late ones",
    "topic",
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 7_200, 43_200, 86_400, 604_800),
)
BATCH_RECORDS = Histogram(
    "health_batch_records",
    "Records in one batch",
    buckets=(1, 10, 100, 1_000, 5_000, 10_000, 20_000, 50_000, 100_000, 150_000),
)
BATCH_LIMIT = Gauge(
    "health_batch_limit_records",
    "The most records that a batch may have now: fewer after batches that were slow or given up",
)
BATCH_SECONDS = Histogram(
    "health_batch_seconds",
    "Time of one batch, from its preparation to its commit",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
BATCH_PHASE_SECONDS = Histogram(
    "health_batch_phase_seconds",
    "Time in one phase: decode (of one poll), wait, prepare, fence, read, fold, write or commit (of one batch)",
    ["phase"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
HALTED_PARTITIONS = Gauge("health_halted_partitions", "Partitions of this process that wait for an operator")
AWAY_PARTITIONS = Gauge(
    "health_away_partitions",
    "Partitions whose consumer has given no sign of life for a minute; of all sweepers",
    ["topic"],
)
PLACEMENT_CHECKED = Counter(
    "health_placement_checked_records", "Sampled records whose partition was compared with their key's", ["topic"]
)
MISPLACED = Counter(
    "health_misplaced_records",
    "Sampled records that have no_key or are in an other_partition than their key's; copies may count twice",
    ["topic", "reason"],
)
PARTITIONS_ADDED = Gauge(
    "health_partitions_added_timestamp_seconds",
    "Time at which a consumer found added partitions of a topic; copies of earlier events may count twice",
    ["topic"],
)
RELAYED = Counter("health_relayed_dead_letters", "Dead letters published to their topic's dead-letter topic", ["topic"])
NOT_RELAYED = Counter(
    "health_passed_over_dead_letters",
    "Dead letters that are skipped for an hour because relaying them fails",
    ["topic"],
)

# --- Scores and time: by sweepers, and alerts by every process that evaluates ------------------------------------

ALERTS = Counter("health_alerts", "Alerts that were written, by state: firing, resolved or digest", ["state"])
SWEPT = Counter("health_swept_accounts", "Accounts re-evaluated because time has passed")
REEVALUATED = Counter("health_reevaluated_accounts", "Accounts re-evaluated because a scorecard or rule has changed")
SIDE_JOB_FAILURES = Counter(
    "health_side_job_failures",
    "Failures of the sweeper's side jobs; the sweep continues, and each job is tried again",
    ["job"],
)
PUT_OFF = Counter(
    "health_put_off_accounts",
    "Accounts that were put off because evaluating or forecasting them fails or is too slow",
    ["reason"],
)
SWEEP_BACKLOG = Gauge("health_sweep_backlog_accounts", "Accounts that are due for re-evaluation; of all sweepers")
SWEEP_OLDEST_SECONDS = Gauge(
    "health_sweep_oldest_due_seconds", "Time for which the longest-waiting account has been due; of all sweepers"
)
ACCOUNTS = Gauge(
    "health_accounts",
    "Accounts by effective band, segment and stage, rarer ones as other, without churned ones; of all sweepers",
    ["band", "segment", "stage"],
)
ACCOUNTS_BY_SCORE = Gauge(
    "health_accounts_by_score",
    "Accounts per ten points of their effective score, without churned ones; of all sweepers",
    ["points"],
)
CHURNED_ACCOUNTS = Gauge(
    "health_churned_accounts", "Accounts whose churned_on is today (UTC) or earlier; of all sweepers"
)
MENDED_LIST_ROWS = Counter(
    "health_mended_list_rows", "Accounts whose list rows differed from their scores, and were written again"
)
ACCOUNTS_COUNTED = Gauge("health_accounts_counted_timestamp_seconds", "Time at which accounts were last counted")
EXPECTED_CHURN = Gauge(
    "health_calibration_expected_churn",
    "Accounts that a scorecard's calibration expected to churn in the last finished month; of all sweepers",
    ["scorecard"],
)
OBSERVED_CHURN = Gauge(
    "health_calibration_observed_churn", "Those of them that did, by their churned_on; of all sweepers", ["scorecard"]
)
CALIBRATION_DRIFT = Gauge(
    "health_calibration_drift",
    "Standard deviations by which more churned than expected in the last three finished months; of all sweepers",
    ["scorecard"],
)
QUIET_SOURCES = Gauge("health_quiet_sources", "Sources of usage events that have gone quiet; of all sweepers")
FORECAST = Counter("health_forecast_accounts", "Accounts for which the effect of silence was forecast")
FORECAST_CYCLE_SECONDS = Gauge("health_forecast_cycle_seconds", "Time that the last cycle through all accounts took")

# --- HTTP: by the API ----------------------------------------------------------------------------------------------

REQUEST_SECONDS = Histogram(
    "health_http_request_seconds",
    "Time to answer a request, by the template of its route",
    ["method", "route", "status"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5),
)

# --- Webhooks: by deliveries ---------------------------------------------------------------------------------------

DELIVERY_ATTEMPTS = Counter(
    "health_delivery_attempts",
    "Webhook attempts by outcome: succeeded, gave_up, or the reason for another attempt",
    ["target", "outcome"],
)
DELIVERY_LIMITED = Counter(
    "health_delivery_limited",
    "Webhook attempts whose receiver asked for a pause; they don't use up a message's attempts",
    ["target"],
)
DELIVERIES_SET_ASIDE = Counter(
    "health_delivery_set_aside",
    "Deliveries that were ended or skipped because their content makes claiming or recording them fail",
    ["doing"],
)
DELIVERY_SECONDS = Histogram("health_delivery_attempt_seconds", "Time of one webhook attempt", ["target"])
DELIVERY_LATENCY_SECONDS = Histogram(
    "health_delivery_latency_seconds",
    "Time from a crossing to the 2xx answer to its webhook, retries included",
    ["target"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 1_800, 7_200, 43_200, 259_200),
)
DELIVERY_QUEUE_AGE_SECONDS = Gauge(
    "health_delivery_queue_age_seconds",
    "Time for which the longest-waiting delivery has been due; of all deliveries",
    ["target"],
)
DELIVERY_ENDPOINTS = Gauge(
    "health_delivery_endpoints",
    "Endpoints that are ok, failing, disabled (by somebody), disabled_failing or disabled_gone; of all deliveries",
    ["target", "state"],
)
DELIVERY_OPEN_BREAKERS = Gauge(
    "health_delivery_open_breakers",
    "Endpoints to which this process sends nothing for now because they are down",
    ["target"],
)
