"""The AsyncAPI 3.0 document of what goes through Kafka and out by webhook, made from the types that decode and send."""

from importlib.metadata import version
from typing import Any

from fastapi import APIRouter

from service.api.access.deps import Api
from service.api.docs import asyncapi_messages as messages
from service.messaging import event_schemas
from service.messaging.topics import dead_letter_topic
from service.runtime.settings import Settings, Signal

router = APIRouter(include_in_schema=False)

DESCRIPTION = """
The messages that account-health reads and writes beside its HTTP API, which `/openapi.json` describes.

* It **receives** CloudEvents 1.0 about accounts, in structured or in binary mode. The record's key is the account id.
* A record that it can't use becomes a dead letter in Postgres, and is **sent** to a dead-letter topic too if
  `HEALTH_DEAD_LETTER_TOPICS` is on.
* It **sends** alerts by webhook, as Standard Webhooks specifies, or as records of a topic that an endpoint names.
"""
_SIGNALS = {
    "usage": "Uses of the product.",
    "ticket": "Snapshots of support tickets.",
    "survey": "Answers to surveys.",
    "account": "Attributes of accounts: only the given ones change.",
}


@router.get("/asyncapi.json")
async def described(api: Api) -> dict[str, Any]:
    """The document, with this installation's topics."""
    return document(api.settings)


def document(settings: Settings) -> dict[str, Any]:
    """The document. The names of topics are those of the settings."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "account-health",
            "version": version("account-health"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "description": "The brokers of HEALTH_KAFKA_BOOTSTRAP_SERVERS.",
                "variables": {"bootstrap": {"default": "localhost:9092"}},
            }
        },
        "channels": _channels(settings),
        "operations": _operations(),
        "components": {"messages": messages.all_messages(), "schemas": messages.schemas()},
    }


def _channels(settings: Settings) -> dict[str, Any]:
    channels: dict[str, Any] = {}
    for signal in event_schemas.SIGNALS:
        topic = settings.topics[signal]
        channels[_events(signal)] = _kafka(topic, _SIGNALS[signal], messages.names_of(signal))
        refused = f"Records of {topic} that could not be used, unchanged, with the reason and the origin in headers."
        channels[_refused(signal)] = _kafka(dead_letter_topic(topic), refused, ["DeadLetter"])
    about = "Alerts as records, of the topic that an endpoint of target `kafka` names: `kafka:TOPIC`."
    channels["alerts"] = _kafka(None, about, ["AlertRecord"])
    channels["webhooks"] = {
        "address": None,
        "description": "Alerts over HTTP, to the URLs of endpoints of target `standard`: /v1/webhook-endpoints.",
        "messages": messages.references(["AlertRequest"]),
    }
    return channels


def _kafka(topic: str | None, description: str, names: list[str]) -> dict[str, Any]:
    return {
        "address": topic,
        "description": description,
        "servers": [{"$ref": "#/servers/kafka"}],
        "messages": messages.references(names),
    }


def _operations() -> dict[str, Any]:
    operations: dict[str, Any] = {}
    for signal in event_schemas.SIGNALS:
        operations[f"receive{_capital(_events(signal))}"] = _operation("receive", _events(signal))
        operations[f"send{_capital(_refused(signal))}"] = _operation("send", _refused(signal))
    for channel in ("alerts", "webhooks"):
        operations[f"send{_capital(channel)}"] = _operation("send", channel)
    return operations


def _operation(action: str, channel: str) -> dict[str, Any]:
    return {"action": action, "channel": {"$ref": f"#/channels/{channel}"}}


def _events(signal: Signal) -> str:
    return f"{signal}Events"


def _refused(signal: Signal) -> str:
    return f"{signal}DeadLetters"


def _capital(name: str) -> str:
    return name[0].upper() + name[1:]
