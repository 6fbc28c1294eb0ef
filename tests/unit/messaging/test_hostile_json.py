"""JSON that makes a decoder stumble is refused like any other that can't be used: a consumer must not die of it."""

import pytest

from service.messaging.cloudevents import decode_binary, decode_structured
from service.messaging.envelope import InvalidEventError

EVENT = (
    b'{"specversion":"1.0","id":"%s","source":"s","type":"usage.recorded","subject":"a",'
    b'"time":"2030-01-01T00:00:00Z","data":{"feature":"x"}%s}'
)
HEADERS = {
    "ce_specversion": "1.0",
    "ce_id": "1",
    "ce_source": "s",
    "ce_type": "usage.recorded",
    "ce_subject": "a",
    "ce_time": "2030-01-01T00:00:00Z",
}
TAKEN_AT = 2_000_000_000_000_000


@pytest.mark.parametrize(
    "value",
    [EVENT % (b"\xff", b""), EVENT % (b"\\ud800", b""), EVENT % (b"1", b',"x":' + b"[" * 100_000)],
    ids=["no UTF-8", "lone surrogate", "deep extension"],
)  # fmt: skip
def test_structured(value: bytes) -> None:
    with pytest.raises(InvalidEventError, match=r"is not JSON|^id: holds U\+D800, a lone surrogate"):
        decode_structured("usage", value, TAKEN_AT)


@pytest.mark.parametrize("data", [b'{"feature": "\xff"}', b'{"feature": "\\ud800"}', b'{"a":' * 100_000])
def test_binary(data: bytes) -> None:
    with pytest.raises(InvalidEventError, match=r"is not JSON|^data.feature: holds U\+D800, a lone surrogate"):
        decode_binary("usage", HEADERS, data, TAKEN_AT)
