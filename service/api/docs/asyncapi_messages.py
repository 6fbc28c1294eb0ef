"""The messages of the AsyncAPI document, their schemas, and an example of each."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from service.api.docs.examples import EXAMPLES
from service.api.resources.webhook_endpoint_document import EventType
from service.messaging import event_schemas
from service.messaging.cloudevents import type_of
from service.messaging.kafka_records import STRUCTURED
from service.runtime.settings import Signal
from service.targets.message import AlertFacts

_REF = "#/components/schemas/"
_TEXT = {"type": "string"}
_ACCOUNT_KEY = {"kafka": {"key": {"type": "string", "description": "The account id."}}}
_DEAD_LETTER_HEADERS = {
    "id": "The dead letter's id in Postgres and over HTTP.",
    "reason": "The reason of the refusal, up to 1,000 characters.",
    "topic": "The topic of the refused record.",
    "partition": "Its partition.",
    "offset": "Its offset.",
    "timestamp": "The broker's timestamp, ISO 8601.",
    "left-out": "`value`, or `key, value, headers`: left out because the topic doesn't accept so large a record.",
}
_MAY_BE_MISSING = {"left-out"}


class AlertMessage(Struct):
    """The message of an alert. `data` about many accounts, or none, has null in the account's fields."""

    type: EventType
    timestamp: datetime
    data: AlertFacts


def names_of(signal: Signal) -> list[str]:
    """The names of the messages that carry a signal's events."""
    return [event_schemas.event_name(signal), f"{event_schemas.event_name(signal)}Binary"]


def references(names: Sequence[str]) -> dict[str, Any]:
    """A channel's messages."""
    return {name: {"$ref": f"#/components/messages/{name}"} for name in names}


def schemas() -> dict[str, Any]:
    """The schemas that messages refer to."""
    return event_schemas.components(_REF + "{name}", [AlertMessage])


def all_messages() -> dict[str, Any]:
    """Every message, by name."""
    messages: dict[str, Any] = {"DeadLetter": _dead_letter(), **_alerts()}
    for signal in event_schemas.SIGNALS:
        structured, binary = names_of(signal)
        messages[structured] = _structured(signal)
        messages[binary] = _binary(signal)
    return messages


def _structured(signal: Signal) -> dict[str, Any]:
    name = event_schemas.event_name(signal)
    return {
        "name": type_of(signal),
        "title": f"{name}, in structured mode",
        "contentType": STRUCTURED,
        "payload": {"$ref": _REF + name},
        "bindings": _ACCOUNT_KEY,
        "examples": [{"name": signal, "payload": event_schemas.example(signal)}],
    }


def _binary(signal: Signal) -> dict[str, Any]:
    event = event_schemas.example(signal)
    data = event.pop("data")
    headers = {**{f"ce_{name}": value for name, value in event.items()}, "content-type": "application/json"}
    known = dict.fromkeys(headers, _TEXT) | {"ce_type": {"const": type_of(signal)}, "ce_backfill": _TEXT}
    return {
        "name": type_of(signal),
        "title": f"{event_schemas.event_name(signal)}, in binary mode",
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "required": [name for name in headers if name != "content-type"],
            "properties": {**known, "ce_specversion": {"const": "1.0"}},
        },
        "payload": {"$ref": _REF + event_schemas.data_name(signal)},
        "bindings": _ACCOUNT_KEY,
        "examples": [{"name": signal, "headers": headers, "payload": data}],
    }


def _dead_letter() -> dict[str, Any]:
    headers = {f"health-dead-letter-{name}": meaning for name, meaning in _DEAD_LETTER_HEADERS.items()}
    return {
        "name": "dead letter",
        "title": "A refused record",
        "summary": "Key, value and headers are the original ones.",
        "contentType": "application/octet-stream",
        "headers": {
            "type": "object",
            "required": [name for name in headers if name.removeprefix("health-dead-letter-") not in _MAY_BE_MISSING],
            "properties": {name: {**_TEXT, "description": meaning} for name, meaning in headers.items()},
        },
        "payload": {"description": "The record's value."},
    }


def _alerts() -> dict[str, Any]:
    example = EXAMPLES["Alert"]
    payload = {"type": example["type"], "timestamp": example["created_at"], "data": example["data"]}
    record = {"webhook-id": example["id"], "content-type": "application/json"}
    request = {"webhook-id": example["id"], "webhook-timestamp": "1769850001", "webhook-signature": "v1,K5oZf…"}
    return {
        "AlertRecord": {
            **_alert("An alert, as a record", record, payload),
            "bindings": {
                "kafka": {
                    "key": {"type": ["string", "null"], "description": "The account id; null in an alert about many."}
                }
            },
        },
        "AlertRequest": {
            **_alert("An alert, over HTTP", request, payload),
            "summary": "Signed as Standard Webhooks specifies; `webhook-id` is the same on every attempt.",
            "bindings": {"http": {"headers": _strings(request), "bindingVersion": "0.3.0"}},
        },
    }


def _alert(title: str, headers: dict[str, str], payload: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "alert",
        "title": title,
        "contentType": "application/json",
        "headers": _strings(headers),
        "payload": {"$ref": f"{_REF}AlertMessage"},
        "examples": [{"name": "crossed", "headers": headers, "payload": payload}],
    }


def _strings(names: Sequence[str] | dict[str, str]) -> dict[str, Any]:
    return {"type": "object", "required": list(names), "properties": dict.fromkeys(names, _TEXT)}
