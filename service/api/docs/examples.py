"""An example of every answer: Acme on 31 January 2026, the day on which it got into the red. By the schema's name."""

from collections.abc import Mapping
from typing import Any

from service.api.docs.operation_examples import OPERATIONS

_MORNING = "2026-01-31T09:00:01.500000Z"
_EARLIER = "2025-06-01T08:00:00Z"
_RULE_ID = "019c0f3a-7b00-7000-8000-000000000001"
_ALERT_ID = "019c1343-2a00-7000-8000-000000000002"
_CARD = {"name": "default", "version": 3}
_DRIVERS = [{"measure": "days_since_last_use", "delta": -36.0}, {"measure": "open_tickets", "delta": -26.0}]
_MOVES = [{"measure": "open_tickets", "delta": -16.0}, {"measure": "days_since_last_use", "delta": -4.0}]

_ACCOUNT = {
    "account_id": "acme",
    "name": "Acme",
    "segment": "enterprise",
    "stage": "live",
    "owner": "ann@example.com",
    "seats": 40,
    "arr": 120000.0,
    "started_on": "2024-03-01",
    "renews_on": "2026-12-31",
    "churned_on": None,
    "parent_id": None,
    "created_at": _EARLIER,
    "score": 38.0,
    "churn_probability": 0.158,
    "band": "red",
    "coverage": 1.0,
    "day": "2026-01-31",
    "evaluated_at": _MORNING,
    "changed_at": _MORNING,
}
_OVERRIDE = {
    "score": None,
    "band": "red",
    "reason": "Their champion has left.",
    "author": "ann@example.com",
    "set_at": _MORNING,
    "expires_at": "2026-03-31T00:00:00Z",
}
_HEALTH = {
    "account_id": "acme",
    "score": 38.0,
    "churn_probability": 0.158,
    "band": "red",
    "coverage": 1.0,
    "day": "2026-01-31",
    "evaluated_at": _MORNING,
    "scorecard": _CARD,
    "trend": {"d7": -20.0, "d30": -24.5},
    "override": None,
    "drivers": _DRIVERS,
    "measures": [
        {
            "name": "days_since_last_use",
            "measure": "days_since_last_use",
            "window": None,
            "value": 14.0,
            "score": 40.0,
            "weight": 60.0,
            "contribution": 24.0,
            "missing": None,
        },
        {
            "name": "open_tickets",
            "measure": "open_tickets",
            "window": None,
            "value": 3.0,
            "score": 35.0,
            "weight": 40.0,
            "contribution": 14.0,
            "missing": None,
        },
    ],
    "values_of": "2026-01-31",
    "alerts": [
        {
            "id": _ALERT_ID,
            "rule_id": _RULE_ID,
            "rule": "At risk",
            "type": "health.threshold.crossed",
            "sequence": 7,
            "created_at": _MORNING,
            "acknowledged_at": None,
            "acknowledged_by": None,
            "snoozed_until": None,
        }
    ],
    "freshness": {"usage": "2026-01-17T16:20:00Z", "ticket": "2026-01-31T09:00:00Z", "survey": None},
}
_CHANGE = {
    "cause": "events",
    "delta": -20.0,
    "measures": _MOVES,
    "events": {"count": 1, "ids": [{"source": "https://desk.example.com", "id": "4711-3"}]},
    "notes": [],
    "at": _MORNING,
}
_HISTORY_DAY = {
    "day": "2026-01-31",
    "score": 38.0,
    "churn_probability": 0.158,
    "band": "red",
    "coverage": 1.0,
    "scorecard": _CARD,
    "contributions": {"days_since_last_use": 24.0, "open_tickets": 14.0},
    "override": None,
    "changes": [_CHANGE],
}
_END = {
    "day": "2026-01-31",
    "score": 38.0,
    "churn_probability": 0.158,
    "band": "red",
    "scorecard": _CARD,
    "override": None,
}
_ALERT = {
    "id": _ALERT_ID,
    "account_id": "acme",
    "sequence": 7,
    "rule_id": _RULE_ID,
    "rule": "At risk",
    "type": "health.threshold.crossed",
    "state": "firing",
    "quiet": False,
    "data": {
        "account_id": "acme",
        "account_name": "Acme",
        "rule": "At risk",
        "rule_id": _RULE_ID,
        "state": "firing",
        "score": 38.0,
        "previous_score": 58.0,
        "band": "red",
        "previous_band": "yellow",
        "threshold": 40.0,
        "drivers": _MOVES,
        "override": None,
        "episode": {
            "id": _ALERT_ID,
            "began_at": _MORNING,
            "rule": "At risk",
            "rule_id": _RULE_ID,
            "band": "red",
        },
        "churned_on": None,
        "playbook_url": "https://wiki.example.com/at-risk",
        "sequence": 7,
        "url": "https://health.example.com/v1/accounts/acme/health",
    },
    "created_at": _MORNING,
    "digest_id": None,
    "acknowledged_at": None,
    "acknowledged_by": None,
    "snoozed_until": None,
}
_UPCOMING = {
    **{name: _ACCOUNT[name] for name in ("segment", "stage", "owner")},
    "account_id": "globex",
    "name": "Globex",
    "score": 47.5,
    "band": "yellow",
    "rule": "At risk",
    "rule_id": _RULE_ID,
    "day": "2026-02-04",
    "score_then": 39.0,
}
_FORECAST_DAY = {"day": "2026-02-01", "score": 36.5, "band": "red", "coverage": 1.0, "scorecard": _CARD}
_CROSSING = {
    "rule": "Gone quiet",
    "rule_id": "019c0f3a-7b00-7000-8000-000000000003",
    "kind": "silence",
    "state": "firing",
    "day": "2026-02-05",
    "score": 31.0,
}


def page(item: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """A page that holds one item and is the last."""
    return {"items": [item], "next_page_token": None, **more}


EXAMPLES: dict[str, dict[str, Any]] = {
    **OPERATIONS,
    "Account": _ACCOUNT,
    "AccountPage": page(_ACCOUNT),
    "AccountForecast": {
        "account_id": "acme",
        "day": "2026-01-31",
        "items": [_FORECAST_DAY],
        "crossings": [_CROSSING],
    },
    "Alert": _ALERT,
    "AlertPage": page(_ALERT, next_after="WzgxNSwiMDE5YzEzNDMtMmEwMC03MDAwLTgwMDAtMDAwMDAwMDAwMDAyIl0"),
    "ForecastPage": page(_UPCOMING, as_of="2026-01-31T08:45:00Z"),
    "Health": _HEALTH,
    "History": {"account_id": "acme", "items": [_HISTORY_DAY]},
    "StoredOverride": _OVERRIDE,
    "Why": {
        "account_id": "acme",
        "from": {**_END, "day": "2026-01-24", "score": 58.0, "churn_probability": 0.09272, "band": "yellow"},
        "to": _END,
        "change": -20.0,
        "causes": [_CHANGE],
        "measures": _MOVES,
    },
}
