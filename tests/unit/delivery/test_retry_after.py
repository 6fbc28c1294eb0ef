"""The wait that a receiver asks for: every place in which it can stand, with nonsense in each of them."""

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.delivery.retry_after import LONGEST, requested_wait, retry_after_wait

NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
UNIX = int(NOW.timestamp())
names = st.sampled_from(
    ["retry-after", "retry-after-ms", "x-ratelimit-reset", "ratelimit-reset", "ratelimit", "x-ratelimit-reset-after"]
)


@pytest.mark.parametrize(
    ("name", "value", "seconds"),
    [
        ("retry-after", "30", 30),
        ("retry-after", " 1.5 ", 1.5),
        ("retry-after", "0", 0),
        ("retry-after", str(UNIX + 90), 90),
        ("retry-after", format_datetime(NOW + timedelta(minutes=2), usegmt=True), 120),
        ("retry-after", "2026-01-02T03:05:00Z", 60),
        ("retry-after", format_datetime(NOW - timedelta(minutes=2), usegmt=True), 0),
        ("retry-after-ms", "1500", 1.5),
        ("x-ms-retry-after-ms", "250", 0.25),
        ("x-ratelimit-reset", str(UNIX + 20), 20),  # Intercom, GitHub
        ("x-ratelimit-reset", f"{UNIX + 20}000", 20),
        ("x-ratelimit-reset", "20", 20),
        ("x-ratelimit-reset", "2026-01-02T03:05Z", 60),  # Jira: to the minute
        ("x-rate-limit-reset", str(UNIX + 20), 20),
        ("x-ratelimit-reset-after", "0.65", 0.65),
        ("x-ratelimit-period-in-sec", "60", 60),  # Opsgenie
        ("ratelimit-reset", "7", 7),
        ("ratelimit", '"default";r=0;t=9', 9),
        ("ratelimit", "limit=100, remaining=0, reset=50", 50),
        ("x-hubspot-ratelimit-interval-milliseconds", "10000", 10),
        ("x-rate-limit-api-token-interval-ms", "10000", 10),  # Trello
    ],
)
def test_a_header_says_it(name: str, value: str, seconds: float) -> None:
    assert requested_wait({name: value}, b"", NOW) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        ({"retry_after": 0.65, "global": False}, 0.65),
        ({"ok": False, "parameters": {"retry_after": 35}}, 35),
        ({"errors": [{"message": "complexity", "extensions": {"retry_in_seconds": 12}}]}, 12),
        ({"error": {"retryAfterMs": 2500}}, 2.5),
        ({"status": "error", "policyName": "TEN_SECONDLY_ROLLING"}, 10),
        ({"status": "error", "policyName": "SECONDLY"}, 1),
        ({"status": "error", "policyName": "DAILY"}, 3600),
    ],
)
def test_the_body_says_it(body: object, seconds: float) -> None:
    assert requested_wait({}, json.dumps(body).encode(), NOW) == timedelta(seconds=seconds)


def test_retry_after_comes_before_the_rest_unless_it_cannot_be_read() -> None:
    others = {"x-ratelimit-reset": str(UNIX + 900)}
    assert requested_wait({**others, "retry-after": "9"}, b'{"retry_after": 4}', NOW) == timedelta(seconds=9)
    assert requested_wait({**others, "retry-after": "soon"}, b"", NOW) == timedelta(seconds=900)


@pytest.mark.parametrize("said", ["", "soon", "-10", "1e3", "١٢٠", "Sun, 01 Mar 2026 99:10:00 GMT", "12 s", "NaN"])
def test_what_cannot_be_read_says_nothing(said: str) -> None:
    assert (
        requested_wait({"retry-after": said, "x-ratelimit-reset": said, "ratelimit": said}, said.encode(), NOW) is None
    )
    assert retry_after_wait(said, NOW) == timedelta()


def test_a_body_that_is_nested_without_end_says_nothing() -> None:
    assert requested_wait({}, b"[" * 60_000, NOW) is None
    assert requested_wait({}, b'{"a":' * 20_000 + b"1" + b"}" * 20_000, NOW) is None


@given(st.dictionaries(names, st.text(max_size=40) | st.integers().map(str)), st.binary(max_size=200), st.datetimes())
def test_whatever_is_said_it_is_a_wait_within_bounds_or_nothing(
    headers: dict[str, str], body: bytes, now: datetime
) -> None:
    wait = requested_wait(headers, body, now.replace(tzinfo=UTC))
    assert wait is None or timedelta() <= wait <= LONGEST


@given(st.recursive(st.none() | st.integers() | st.floats() | st.text(), lambda leaf: st.lists(leaf) | st.dictionaries(
    st.sampled_from(["retry_after", "retry_after_ms", "policyName", "error"]), leaf)))  # fmt: skip
def test_whatever_json_it_is_it_is_a_wait_within_bounds_or_nothing(body: object) -> None:
    wait = requested_wait({}, json.dumps(body).encode(), NOW)
    assert wait is None or timedelta() <= wait <= LONGEST
