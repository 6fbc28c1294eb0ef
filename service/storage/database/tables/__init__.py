"""Every table, as SQLAlchemy Core, a module per subject. Migrations must give exactly these (a test compares them)."""

from service.storage.database.tables.access import api_keys
from service.storage.database.tables.accounts import (
    accounts,
    forecast_crossings,
    forecast_cycle,
    history,
    listed_accounts,
    scores,
    survey_states,
    ticket_states,
)
from service.storage.database.tables.alerts import alerts, digest_moves, digests
from service.storage.database.tables.churn import churn_expectations
from service.storage.database.tables.ingest import (
    dead_letters,
    progress,
    refused_stamps,
    seen_events,
    source_days,
    source_outages,
)
from service.storage.database.tables.metadata import metadata
from service.storage.database.tables.policy import alert_rules, backtests, reevaluations, scorecards
from service.storage.database.tables.webhooks import deliveries, delivery_attempts, webhook_endpoints

__all__ = [
    "accounts",
    "alert_rules",
    "alerts",
    "api_keys",
    "backtests",
    "churn_expectations",
    "dead_letters",
    "deliveries",
    "delivery_attempts",
    "digest_moves",
    "digests",
    "forecast_crossings",
    "forecast_cycle",
    "history",
    "listed_accounts",
    "metadata",
    "progress",
    "reevaluations",
    "refused_stamps",
    "scorecards",
    "scores",
    "seen_events",
    "source_days",
    "source_outages",
    "survey_states",
    "ticket_states",
    "webhook_endpoints",
]
