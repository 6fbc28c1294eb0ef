"""Examples of answers about the service itself: scorecards, rules, endpoints, keys and refused records."""

from typing import Any

from service.evaluation.policy import starter

_AT = "2026-01-31T09:00:01.500000Z"
_BEFORE = "2026-01-05T10:00:00Z"
_RULE_ID = "019c0f3a-7b00-7000-8000-000000000001"
_ALERT_ID = "019c1343-2a00-7000-8000-000000000002"
_ENDPOINT_ID = "019c0f3a-7b00-7000-8000-000000000004"
_DELIVERY_ID = "5d2f7c1e-9a44-4d6b-8a36-0a1f6f4b2c11"
_REEVALUATION_ID = "019c1343-2a00-7000-8000-000000000005"

_VERSION = {"name": "default", "version": 3, "published_at": _BEFORE, "document": starter("default")}
_WARNING = {"field": "measures[1].window", "message": "is shorter than a week: weekends will move the score"}
_REEVALUATION = {
    "id": _REEVALUATION_ID,
    "cause": "scorecard",
    "subject": "default version 3",
    "total": 1250,
    "done": 1250,
    "started_at": _BEFORE,
    "finished_at": "2026-01-05T10:00:03Z",
    "digest_id": "019c1343-2a00-7000-8000-000000000006",
}
_BACKTEST = {
    "id": "019c1343-2a00-7000-8000-000000000008",
    "state": "done",
    "request": {"log": None, "outcomes": None, "scorecards": [], "rules": None, "lead_days": 3, "horizon_days": 28},
    "step": "Replaying by in force",
    "done": 1077089,
    "total": 1077089,
    "created_at": _BEFORE,
    "started_at": _BEFORE,
    "finished_at": "2026-01-05T10:01:41Z",
    "problem": None,
}
_AUC = {"auc": [0.73, 0.66, 0.79], "difference": [0.12, 0.04, 0.2]}
_BACKTEST_RUN = {**_BACKTEST, "report": {"lead_days": 3, "horizon_days": 28, "scores": [{"name": "in force", **_AUC}]}}
_RULE = {
    "id": _RULE_ID,
    "name": "At risk",
    "kind": "score",
    "enabled": True,
    "created_at": _BEFORE,
    "updated_at": _BEFORE,
    "direction": "below",
    "level": 40.0,
    "clear_level": 45.0,
}
_CHANGED_RULE = {**_RULE, "reevaluation": _REEVALUATION_ID}
_ENDPOINT = {
    "id": _ENDPOINT_ID,
    "url": "https://crm.example.com/hooks/health",
    "target": "standard",
    "description": "CRM",
    "enabled": True,
    "has_headers": False,
    "has_options": False,
    "event_types": None,
    "rules": None,
    "bands": ["red"],
    "segments": ["enterprise"],
    "stages": None,
    "owners": None,
    "ordered": False,
    "rate_limit": None,
    "paused_until": None,
    "disabled_reason": None,
    "failing_since": None,
    "created_at": _BEFORE,
    "updated_at": _BEFORE,
}
_SECRET = "whsec_ZXhhbXBsZSBvZiBhIHNlY3JldCE="  # noqa: S105 - an example
_ATTEMPT = {
    "number": 1,
    "started_at": _AT,
    "duration_seconds": 0.113,
    "status": 503,
    "error": None,
    "response": "try later",
}
_DELIVERY = {
    "id": _DELIVERY_ID,
    "alert_id": _ALERT_ID,
    "endpoint_id": _ENDPOINT_ID,
    "account_id": "acme",
    "type": "health.threshold.crossed",
    "state": "pending",
    "attempts": 1,
    "due_at": "2026-01-31T09:00:06Z",
    "created_at": _AT,
    "finished_at": None,
    "last_attempt": _ATTEMPT,
}
_REFUSED = {
    "id": 12,
    "topic": "usage-events",
    "partition": 0,
    "offset": 48211,
    "account_id": "acme",
    "reason": "data.quantity: Expected `int` >= 1",
    "key": {"encoding": "utf-8", "text": "acme"},
    "value": {"encoding": "utf-8", "text": '{"specversion": "1.0", "data": {"quantity": 0}}'},
    "headers": [],
    "recorded_at": _AT,
    "created_at": _AT,
    "replayed_at": None,
    "relayed_at": None,
}
_SOURCE = {
    "name": "https://app.example.com",
    "is_quiet": False,
    "days": [{"day": "2026-01-30", "accounts": 1184}],
    "outages": [],
}
_KEY = {
    "id": "019c0f3a-7b00-7000-8000-000000000007",
    "name": "crm",
    "hint": "hk_4pl0",
    "scopes": ["read"],
    "created_at": _BEFORE,
    "expires_at": None,
    "last_used_at": _AT,
}
_CHANGE = {
    "account_id": "acme",
    "name": "Acme",
    "before": 38.0,
    "after": 43.5,
    "band_before": "red",
    "band_after": "yellow",
    "drivers": [{"measure": "open_tickets", "delta": 5.5}],
}
_PREVIEW = {
    "name": "default",
    "from_version": 3,
    "accounts": 1250,
    "judged": 1250,
    "covered": 1250,
    "bands": [{"before": "red", "after": "yellow", "accounts": 31}],
    "scorecards": [],
    "score": {
        "compared": 1250,
        "mean": 0.6,
        "distribution": [{"low": 5, "high": 10, "accounts": 42}],
        "up": [_CHANGE],
        "down": [],
    },
    "recalibrates": False,
    "rules": [],
    "warnings": [],
}


def _page(item: dict[str, Any]) -> dict[str, Any]:
    return {"items": [item], "next_page_token": None}


OPERATIONS: dict[str, dict[str, Any]] = {
    "Accepted": {"accepted": 1, "late": 0, "backfill": 0},
    "AlertDelivery": _DELIVERY,
    "AlertRule": _RULE,
    "AlertRulePage": _page(_RULE),
    "Alive": {"status": "alive"},
    "ApiKey": _KEY,
    "ApiKeyPage": _page(_KEY),
    "AttemptPage": _page(_ATTEMPT),
    "BacktestPage": _page(_BACKTEST),
    "BacktestRun": _BACKTEST_RUN,
    "ChangedAlertRule": _CHANGED_RULE,
    "DeadLetterPage": _page(_REFUSED),
    "DeliveryPage": _page(_DELIVERY),
    "Differences": {
        "name": "default",
        "from_version": 3,
        "differences": [{"field": "measures.open_tickets.weight", "before": 40.0, "after": 30.0}],
    },
    "NewApiKey": {**_KEY, "last_used_at": None, "key": "hk_4pl0an-example-that-opens-nothing"},
    "NewWebhookEndpoint": {**_ENDPOINT, "secret": _SECRET},
    "Preview": _PREVIEW,
    "PublishedVersion": _VERSION,
    "Ready": {"status": "ready"},
    "Recovered": {"deliveries": 17, "dry_run": True},
    "Reevaluation": _REEVALUATION,
    "ReevaluationPage": _page(_REEVALUATION),
    "RefusedRecord": _REFUSED,
    "RotatedSecret": {"id": _ENDPOINT_ID, "secret": _SECRET, "old_signs_until": "2026-02-01T09:00:01.500000Z"},
    "SourcePage": _page(_SOURCE),
    "TestDelivery": {"delivery_id": _DELIVERY_ID},
    "Validation": {"problems": [], "warnings": [_WARNING]},
    "Version": {"name": "default", "version": 3, "warnings": []},
    "VersionPage": _page(_VERSION),
    "WebhookEndpoint": _ENDPOINT,
    "WebhookEndpointPage": _page(_ENDPOINT),
}
