"""The target `alertmanager`: what Prometheus' Alertmanager sends to webhooks (version 4), for all that takes that.

An alert there is identified by labels: here by rule and account, so that `resolved` ends what `firing` began. What is
about many accounts never ends, and is identified by its own id.
"""

import hashlib
from datetime import UTC
from typing import Any

import msgspec

from service.delivery.targets.message import Body, Facts, Message, NoOptions
from service.delivery.targets.target import Target
from service.delivery.targets.words import Words, words_of

RECEIVER = "account-health"
NOT_ENDED = "0001-01-01T00:00:00Z"  # Go's zero time, which Alertmanager writes into alerts that fire
SEVERITIES = {"red": "critical", "yellow": "warning"}

Labels = dict[str, str]


def build(message: Message, _options: NoOptions) -> Body:
    """A group of one alert."""
    facts, words = message.facts, words_of(message)
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
        "startsAt": at,
        "endsAt": at if resolved else NOT_ENDED,
        "generatorURL": facts.url,
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
        "externalURL": facts.url.rpartition("/v1/")[0],
        "alerts": [alert],
    }
    return Body(msgspec.json.encode(group))


def _identity(message: Message, facts: Facts) -> Labels:
    if facts.account_id:
        return {"alertname": facts.rule, "account_id": facts.account_id}
    return {"alertname": facts.rule, "alert_id": str(message.id)}


def _labels(identity: Labels, facts: Facts) -> Labels:
    band = {"band": facts.band} if facts.band else {}
    return {**identity, **band, "severity": _severity(facts)}


def _severity(facts: Facts) -> str:
    if facts.endpoint or (facts.source and not facts.source.get("ended_at")):
        return "warning"
    return SEVERITIES.get(facts.band or "", "info")


def _annotations(words: Words, facts: Facts) -> Labels:
    told = [f"{label}: {value}" for label, value in words.details]
    annotations = {
        "summary": words.headline,
        "description": "\n".join([*told, *words.lines]),
        "account_name": facts.account_name or "",
    }
    return {name: text for name, text in annotations.items() if text}


def _fingerprint(identity: Labels) -> str:
    canonical: Any = sorted(identity.items())
    return hashlib.sha256(msgspec.json.encode(canonical)).hexdigest()[:16]


def _group_key(identity: Labels) -> str:
    pairs = ", ".join(f"{name}={msgspec.json.encode(value).decode()}" for name, value in identity.items())
    return f"{{}}:{{{pairs}}}"


ALERTMANAGER = Target(build)
