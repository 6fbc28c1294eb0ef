"""One message of every kind, with data as the service stores it."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from service.targets.message import Message

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
ID = UUID("019ca000-0000-7000-8000-000000000001")
BASE = "https://health.example.com"
HOSTILE = ("<!channel> & <script>*[x](https://evil.example)*`_~|\x00\x1b\n\t\u202e\U0001f680" * 12)[:500]

PAGE = "https://crm.example/accounts/acme"
PLAYBOOK = "https://wiki.example/at-risk"
EPISODE = {
    "id": str(ID),
    "began_at": AT.isoformat(),
    "rule": "At risk",
    "rule_id": "019c9000-0000-7000-8000-000000000001",
    "band": "red",
}
ACCOUNT: dict[str, Any] = {
    "account_id": "acme",
    "account_name": "Sørensen 株式会社",
    "rule": "At risk",
    "rule_id": "019c9000-0000-7000-8000-000000000001",
    "state": "firing",
    "score": 38.04,
    "previous_score": 62.5,
    "band": "red",
    "previous_band": "yellow",
    "threshold": 40.0,
    "drivers": [
        {"measure": "active_users", "delta": -12.41},
        {"measure": "open_tickets", "delta": -9.0},
        {"measure": "nps", "delta": 1.25},
    ],
    "episode": EPISODE,
    "sequence": 7,
    "url": f"{BASE}/v1/accounts/acme/health",
    "playbook_url": PLAYBOOK,
}
NOBODY: dict[str, Any] = {
    **dict.fromkeys(
        ("account_id", "account_name", "score", "previous_score", "band", "previous_band", "threshold", "sequence")
    ),
    "state": "digest",
    "drivers": [],
}
NEVER_KNOWN: dict[str, Any] = {
    "score": None,
    "band": "unknown",
    "previous_score": None,
    "previous_band": "unknown",
    "drivers": [],
}


def message(type_: str = "health.threshold.crossed", link: str = PAGE, **changes: Any) -> Message:
    """A message about an account, unless `changes` say otherwise."""
    return Message(ID, type_, AT, json.dumps({**ACCOUNT, **changes}), link)


def notice(rule: str, path: str, **about: Any) -> Message:
    """A message about no single account."""
    return Message(ID, "health.digest", AT, json.dumps({**NOBODY, "rule": rule, "url": f"{BASE}{path}", **about}))


def digest(cause: str, subject: str = "", **changes: Any) -> Message:
    """A digest."""
    about: dict[str, Any] = {
        "id": str(ID),
        "cause": cause,
        "subject": subject,
        "since": "2026-03-01T10:15:30.5Z",
        "rules": [{"rule": "At risk", "firing": 3, "resolved": 1}, {"rule": "Silent", "firing": 9, "resolved": 0}],
        "bands": [],
        **changes,
    }
    return notice(f"digest of a {cause}", f"/v1/alerts?digest={ID}", digest=about)


def source(rule: str, **changes: Any) -> Message:
    """A notice about a source of events."""
    about = {"name": "/app", "began_on": "2026-02-27", "ended_at": None, "accounts": 3, "usual": 1200, **changes}
    return notice(rule, "/v1/sources", source=about)


def endpoint(rule: str, **changes: Any) -> Message:
    """A notice about a webhook endpoint."""
    about = {
        "id": str(ID),
        "url_host": "crm.example.com",
        "description": "The CRM",
        "reason": "failing",
        "since": "2026-02-27T09:00:00Z",
        **changes,
    }
    return notice(rule, f"/v1/webhook-endpoints/{ID}", endpoint=about)


MOVES = [
    {"band_before": "green", "band_after": "red", "accounts": 1},
    {"band_before": "green", "band_after": "yellow", "accounts": 1200},
    {"band_before": "red", "band_after": "red", "accounts": 40},
]
MANY_RULES = [{"rule": HOSTILE[:200], "firing": 10**9, "resolved": 10**9} for _ in range(50)]

MESSAGES: dict[str, Message] = {
    "crossed": message(),
    "resolved": message("health.threshold.resolved", state="resolved", score=71.0, band="green", previous_score=38),
    "band changed": message("health.band.changed", threshold=None, rule="Band watch"),
    "score dropped": message("health.score.dropped", threshold=10.0, previous_score=39.0, previous_band="red"),
    "unknown": message(score=None, band="unknown", episode={**EPISODE, "band": "unknown"}),
    "never known": message(**NEVER_KNOWN),
    "known at last": message(previous_score=None, previous_band="unknown"),
    "by hand": message(
        override={"author": "Ann", "reason": "Champion left", "score": 20, "band": None, "ended": False}
    ),
    "without a page": message(link="", playbook_url=None),
    "without a name": message(account_name=None),
    "scorecard": digest("scorecard", "default v3, onboarding v1", bands=MOVES),
    "backfill": digest("backfill"),
    "dwell": digest("dwell"),
    "rule": digest("rule", "At risk, Silent"),
    "source quiet": source("source quiet"),
    "source back": source("source outage ended", ended_at="2026-02-28T06:30:00Z", accounts=None, usual=None),
    "endpoint failing": endpoint("endpoint failing", will_be_disabled_at="2026-03-04T09:00:00Z"),
    "endpoint disabled": endpoint("endpoint disabled", disabled_at="2026-03-04T09:00:00Z", description=""),
    "test": notice("test", "/v1/webhook-endpoints"),
    "hostile": message(
        account_id=HOSTILE[:256].replace("\x00", " "),
        account_name=HOSTILE,
        rule=HOSTILE[:200],
        drivers=[{"measure": HOSTILE, "delta": -1e300}] * 3,
        episode={**EPISODE, "rule": HOSTILE[:200]},
        override={"author": HOSTILE[:200], "reason": HOSTILE * 2, "score": None, "band": "red", "ended": True},
        link=f"https://crm.example/accounts/{'%F0%9F%9A%80' * 256}?a|b&c",
        playbook_url="https://wiki.example/a|b&c" + "x" * 1900,
    ),
    "blank": endpoint("endpoint failing", description=" \x00", reason="\n"),
    "emoji": message(account_name="\U0001f680" * 500, rule="\U0001f680" * 200),
    "ampersands": message(account_name="&" * 500, rule="&" * 200),
    "hostile digest": digest("scorecard", "\U0001f680" * 2000, rules=MANY_RULES, bands=MOVES),
    "hostile source": source("source quiet", name=HOSTILE),
    "hostile endpoint": endpoint("endpoint failing", description=HOSTILE * 2, url_host="x" * 253),
}
