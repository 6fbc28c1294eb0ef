"""CloudEvents in Kafka records: the two modes of the Kafka protocol binding, told apart by headers.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from service.messaging.envelope import InvalidEventError

STRUCTURED = "application/cloudevents+json"
LAST_MS = (datetime(9999, 12, 30, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
"""The last timestamp, in milliseconds, that is a valid time in every time zone."""


def binary_headers(given: Sequence[tuple[str, bytes | None]]) -> dict[str, str] | None:
    """The headers of a binary-mode event; None if the record is in structured mode.

    A header without a value counts as missing. Of several with one name the last counts, as in Kafka's own clients.
    Raises `InvalidEventError` if one isn't UTF-8.
    """
    headers = {name.lower(): value for name, value in given if value is not None}
    if "ce_specversion" not in headers or headers.get("content-type", b"").lower().startswith(STRUCTURED.encode()):
        return None
    try:
        return {
            name: value.decode() for name, value in headers.items() if name.startswith("ce_") or name == "content-type"
        }
    except UnicodeDecodeError:
        raise InvalidEventError("headers", "the ce_ headers must be UTF-8") from None
