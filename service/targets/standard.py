"""The target `standard`: the body that the Standard Webhooks specification describes."""

from datetime import UTC

import msgspec

from service.targets.message import Body, Message, NoOptions
from service.targets.target import Target


def build(message: Message, _options: NoOptions) -> Body:
    """`{"type", "timestamp", "data"}` as compact UTF-8 JSON; the same message always gives the same bytes."""
    payload = {
        "type": message.type,
        "timestamp": message.timestamp.astimezone(UTC),
        "data": message.data_with_link,
    }
    return Body(msgspec.json.encode(payload))


STANDARD = Target(build)
