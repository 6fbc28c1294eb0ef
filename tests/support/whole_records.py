"""Whole records as any program may write them: good ones, and some with parts changed at random."""

import json
from collections.abc import Iterable
from typing import Any

from aiokafka import ConsumerRecord
from hypothesis import strategies as st

from tests.support.cloud_events import TYPES

NOW = 1_780_000_000_000
"""The time stamp of good records, in milliseconds."""
Headers = list[tuple[str, bytes | None]]

DATA: dict[str, dict[str, Any]] = {
    "usage": {"feature": "login", "user_id": "ann"},
    "ticket": {"ticket_id": "1", "status": "open", "priority": "low", "created_at": "2026-05-01T00:00:00Z"},
    "survey": {"survey": "nps", "response_id": "1", "score": 9},
    "account": {"name": "Acme", "seats": 3},
}


def envelope(event_type: str) -> dict[str, str]:
    """The attributes of a good event."""
    return {
        "specversion": "1.0",
        "id": "1",
        "source": "/s",
        "type": event_type,
        "subject": "acme",
        "time": "2026-05-28T20:00:00Z",
    }


def binary(event_type: str) -> Headers:
    """The headers of a good event in binary mode."""
    return [(f"ce_{name}", text.encode()) for name, text in envelope(event_type).items()]


def structured(signal: str) -> bytes:
    """The value of a good event in structured mode."""
    return json.dumps({**envelope(TYPES[signal]), "data": DATA[signal]}).encode()


_USAGE = structured("usage")


def record(
    offset: int = 0,
    *,
    key: bytes | None = b"acme",
    value: bytes | None = _USAGE,
    headers: Iterable[tuple[str, bytes | None]] = (),
    timestamp: int | None = NOW,
    timestamp_type: int | None = 1,
) -> ConsumerRecord:
    """A record of `t` partition 0, which is good except for the given parts."""
    return ConsumerRecord("t", 0, offset, timestamp, timestamp_type, key, value, None, 0, 0, tuple(headers))


_BYTES = st.binary(max_size=20) | st.sampled_from([b"", b"\x00", b"\xff", b"\xed\xa0\x80", b"true", b"1.0", b"x" * 300])
_ODD_NAMES = [
    "ce_id",
    "CE_ID",
    "ce_",
    "ce_data",
    "ce_time",
    "ce_backfill",
    "ce_traceparent",
    "traceparent",
    "content-type",
]
_ODD_NAMES += ["Content-Type", "ce_specversion", "", "\x00", "\\u0000", "ce_\\xff", "é", "\u212ae"]
_NAMES = st.sampled_from(_ODD_NAMES) | st.text(max_size=8)
_TIMESTAMPS = st.sampled_from(
    [
        None,
        -1,
        -(2**63),
        -1000,
        0,
        NOW,
        NOW * 1_000,
        NOW * 1_000_000,
        2**63 - 1,
        253_402_300_799_999,
        253_402_300_800_000,
    ]
) | st.integers(-(2**63), 2**63 - 1)


@st.composite
def _headers(draw: st.DrawFn, signal: str) -> Headers:
    headers: Headers = draw(st.sampled_from([[], binary(TYPES[signal])])).copy()
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(headers)))
        name = headers[at][0] if at < len(headers) and draw(st.booleans()) else draw(_NAMES)
        headers[at : at + draw(st.integers(0, 1))] = [(name, draw(st.none() | _BYTES))]
    return headers


@st.composite
def _values(draw: st.DrawFn, signal: str) -> bytes | None:
    good = structured(signal)
    at, end = sorted((draw(st.integers(0, len(good))), draw(st.integers(0, len(good)))))
    return draw(
        st.sampled_from([good, json.dumps(DATA[signal]).encode(), None, b"", good + b" " * 3_000])
        | st.just(good[:at] + draw(_BYTES) + good[end:])
    )


@st.composite
def whole_records(draw: st.DrawFn) -> ConsumerRecord:
    """A record of which any part may be anything that Kafka can hold."""
    signal = draw(st.sampled_from(sorted(DATA)))
    return record(
        key=draw(st.sampled_from([b"acme", None, b"", b"\xff\x00", b"k" * 300]) | _BYTES),
        value=draw(_values(signal)),
        headers=draw(_headers(signal)),
        timestamp=draw(st.just(NOW) | _TIMESTAMPS),
        timestamp_type=draw(st.sampled_from([0, 1])),
    )
