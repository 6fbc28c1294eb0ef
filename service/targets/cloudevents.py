"""The target `cloudevents`: a CloudEvents 1.0 event as JSON in structured mode, for event routers and brokers."""

from datetime import UTC
from typing import Any

import msgspec

from service.targets.message import Body, Message, NoOptions
from service.targets.target import Target

CONTENT_TYPE = "application/cloudevents+json"
SOURCE = "/account-health"


def build(message: Message, _options: NoOptions) -> Body:
    """The event; `subject` is the account, and absent if the message is about many.

    Source and id are the same on every attempt, so that consumers can drop duplicates.
    """
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": str(message.id),
        "source": SOURCE,
        "type": message.type,
        "time": message.timestamp.astimezone(UTC),
        "datacontenttype": "application/json",
        "data": message.data_with_link,
    }
    if account_id := message.facts.account_id:
        event["subject"] = account_id
    return Body(msgspec.json.encode(event), CONTENT_TYPE)


CLOUDEVENTS = Target(build)
