"""The target `alertmanager`: the webhook format of Prometheus' Alertmanager (version 4), for all that accepts it.

Alertmanager identifies an alert by its labels: here by rule and account, so that `resolved` ends what `firing` began.
The labels stay as they were when the episode began, as other programs match on them; what changes is in annotations. A
message about many accounts never ends, and is identified by its own id.
"""

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec

from service.targets.message import AlertFacts, Body, Message, NoOptions
from service.targets.plain_text import PlainText, to_plain_text
from service.targets.target import Target

RECEIVER = "account-health"
NOT_ENDED = "0001-01-01T00:00:00Z"  # Go's zero time, which Alertmanager writes into alerts that fire
SEVERITIES = {"red": "critical", "yellow": "warning"}

Labels = dict[str, str]


def build(message: Message, _options: NoOptions) -> Body:
    """A group of one alert."""
    facts, words = message.facts, to_plain_text(message)
    resolved = message.type == "health.threshold.resolved"
    status = "resolved" if resolved else "firing"
    at = message.timestamp.astimezone(UTC)
    identity = _identity(message, facts)
    labels = _labels(identity, facts)
    annotations = _annotations(words, facts)
    alert = {
        "status": status,
        "labels": labels,
        "annotations": annotations,
        "startsAt": _began_at(facts, at),
        "endsAt": at if resolved else NOT_ENDED,
        "generatorURL": message.link,
        "fingerprint": _fingerprint(identity),
    }
    group = {
        "version": "4",
        "groupKey": _group_key(identity),
        "truncatedAlerts": 0,
        "status": status,
        "receiver": RECEIVER,
        "groupLabels": identity,
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": message.link,
        "alerts": [alert],
    }
    return Body(msgspec.json.encode(group))


def _identity(message: Message, facts: AlertFacts) -> Labels:
    if not facts.account_id:
        return {"alertname": facts.rule, "alert_id": str(message.id)}
    episode = facts.episode
    identity = {"alertname": episode.rule if episode else facts.rule, "account_id": facts.account_id}
    # The name may belong to another rule by now.
    return {**identity, "rule_id": episode.rule_id} if episode and episode.rule_id else identity


def _labels(identity: Labels, facts: AlertFacts) -> Labels:
    band = facts.episode.band if facts.episode else facts.band
    return {**identity, **({"band": band} if band else {}), "severity": _severity(facts, band)}


def _severity(facts: AlertFacts, band: str | None) -> str:
    if facts.endpoint or (facts.source and not facts.source.get("ended_at")):
        return "warning"
    return SEVERITIES.get(band or "", "info")


def _began_at(facts: AlertFacts, at: datetime) -> datetime:
    return min(facts.episode.began_at.astimezone(UTC), at) if facts.episode else at


def _annotations(words: PlainText, facts: AlertFacts) -> Labels:
    details = [f"{label}: {value}" for label, value in words.details]
    annotations = {
        "summary": words.headline,
        "description": "\n".join([*details, *words.lines]),
        "account_name": facts.account_name or "",
        "band": facts.band or "",
        "playbook_url": facts.playbook_url or "",
        "runbook_url": facts.playbook_url or "",  # the usual name in other programs
    }
    return {name: text for name, text in annotations.items() if text}


def _fingerprint(identity: Labels) -> str:
    canonical: Any = sorted(identity.items())
    return hashlib.sha256(msgspec.json.encode(canonical)).hexdigest()[:16]


def _group_key(identity: Labels) -> str:
    pairs = ", ".join(f"{name}={msgspec.json.encode(value).decode()}" for name, value in identity.items())
    return f"{{}}:{{{pairs}}}"


ALERTMANAGER = Target(build, coalesced="incident")
