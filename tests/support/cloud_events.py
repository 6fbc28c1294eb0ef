"""CloudEvents as other programs would send them, and a plain Kafka client to send them with."""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from aiokafka import AIOKafkaProducer

TYPES = {
    "usage": "usage.recorded",
    "ticket": "ticket.changed",
    "survey": "survey.answered",
    "account": "account.changed",
}


def cloud_event(signal: str, account_id: str, data: dict[str, Any], **attributes: Any) -> dict[str, Any]:
    """An event of now, unless `attributes` say otherwise."""
    return {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "/tests",
        "type": TYPES[signal],
        "subject": account_id,
        "time": datetime.now(UTC).isoformat(),
        "data": data,
        **attributes,
    }


def usage(account_id: str, feature: str = "login", **attributes: Any) -> dict[str, Any]:
    """An event of a used feature."""
    return cloud_event("usage", account_id, {"feature": feature, "user_id": "ann"}, **attributes)


def encode(event: dict[str, Any]) -> bytes:
    """Structured mode."""
    return json.dumps(event).encode()


Record = tuple[str, bytes | None, bytes | None]
"""Topic, key and value."""


async def produce(bootstrap: str, records: Iterable[Record]) -> None:
    """Send records with a plain client and wait until the broker has them."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_request_size=16 * 1024 * 1024)
    await producer.start()
    try:
        sent = [await producer.send(topic, key=key, value=value) for topic, key, value in records]
        for acknowledged in sent:
            await acknowledged
    finally:
        await producer.stop()


def record(topic: str, event: dict[str, Any]) -> Record:
    """The record of an event, keyed by its account."""
    return topic, event["subject"].encode(), encode(event)
