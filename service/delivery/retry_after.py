"""The wait that a receiver asks for, wherever it says so. Pure: the time is an argument.

`Retry-After` is the standard place. Others exist: the end or the length of a rate limit's window, or a member of the
answer's body. https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
"""

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

LONGEST = timedelta(days=366)
_SECONDS = re.compile(r"\d{1,16}(\.\d{1,9})?", re.ASCII)
_EPOCH_SECONDS, _EPOCH_MILLISECONDS = 1e9, 1e11
"""A number from these on is a time and not a wait: as a wait the smaller one would be thirty years."""

_IN_MILLISECONDS = ("retry-after-ms", "x-ms-retry-after-ms")
_RESETS = (
    "ratelimit-reset",
    "x-ratelimit-reset-after",
    "x-ratelimit-reset",
    "x-rate-limit-reset",
    "x-ratelimit-period-in-sec",
)
_WINDOW_SUFFIXES = ("ratelimit-interval-milliseconds", "-interval-ms")
_RESET_IN_RATELIMIT = re.compile(r"(?:^|[;,\s])(?:t|reset)=(\d{1,10})", re.ASCII)

_BODY_SECONDS = ("retry_after", "retryAfter", "retry_after_seconds", "retryAfterSeconds", "retry_in_seconds")
_BODY_MILLISECONDS = ("retry_after_ms", "retryAfterMs")
_DEEPEST, _MOST_MEMBERS = 4, 200
_POLICIES = {"SECONDLY": 1, "TEN_SECONDLY_ROLLING": 10, "DAILY": 3600}
"""HubSpot names the limit but not its end; a daily limit ends at a midnight that only the account's settings know."""


def retry_after_wait(retry_after: str | None, now: datetime) -> timedelta:
    """The wait that a `Retry-After` header asks for, as seconds or a date; zero if it is absent, past or invalid."""
    return _wait(retry_after, now) or timedelta()


def requested_wait(headers: Mapping[str, str], body: bytes, now: datetime) -> timedelta | None:
    """The wait that an answer asks for in any known way, never below zero; None if it asks for none.

    Names of `headers` are in lower case. Unreadable values are skipped. `Retry-After` comes before the rest.
    """
    for found in (_in_headers(headers, now), _in_body(body, now)):
        if found is not None:
            return found
    return None


def _in_headers(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    waits = (
        *(_milliseconds(headers.get(name)) for name in _IN_MILLISECONDS),
        _wait(headers.get("retry-after"), now),
        *(_wait(headers.get(name), now) for name in _RESETS),
        _wait(_reset_in(headers.get("ratelimit", "")), now),
        *(_milliseconds(value) for name, value in headers.items() if name.endswith(_WINDOW_SUFFIXES)),
    )
    return next((wait for wait in waits if wait is not None), None)


def _reset_in(ratelimit: str) -> str | None:
    found = _RESET_IN_RATELIMIT.search(ratelimit)
    return found[1] if found else None


def _in_body(body: bytes, now: datetime) -> timedelta | None:
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    for name, value in _members(document):
        text = str(value)
        if name in _BODY_SECONDS and (wait := _wait(text, now)) is not None:
            return wait
        if name in _BODY_MILLISECONDS and (wait := _milliseconds(text)) is not None:
            return wait
        if name == "policyName" and text in _POLICIES:
            return timedelta(seconds=_POLICIES[text])
    return None


def _members(document: Any) -> Iterator[tuple[str, Any]]:
    """Members of the document's objects, outer ones first, as many and as deep as an honest answer would have."""
    level, left = [document], _MOST_MEMBERS
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for each in level:
            for name, value in each.items() if isinstance(each, dict) else ():
                yield name, value
                below.append(value)
            below.extend(each if isinstance(each, list) else ())
            if len(below) > left:
                return
        level = below


def _wait(text: str | None, now: datetime) -> timedelta | None:
    """Parse seconds, a Unix time in seconds or milliseconds, an HTTP date, or an ISO 8601 date."""
    text = (text or "").strip()[:100]
    if text.isdecimal() and text.isascii():
        text = text[:16]
    if _SECONDS.fullmatch(text):
        return _seconds(_as_wait(float(text), now))
    when = _date(text)
    return None if when is None else _seconds((when - now).total_seconds())


def _as_wait(number: float, now: datetime) -> float:
    if number >= _EPOCH_MILLISECONDS:
        return number / 1000 - now.timestamp()
    return number - now.timestamp() if number >= _EPOCH_SECONDS else number


def _milliseconds(text: str | None) -> timedelta | None:
    text = (text or "").strip()
    return _seconds(float(text) / 1000) if _SECONDS.fullmatch(text) else None


def _seconds(seconds: float) -> timedelta:
    return timedelta(seconds=min(max(seconds, 0.0), LONGEST.total_seconds()))


def _date(text: str) -> datetime | None:
    for read in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            found = read(text)
            # RFC 9110 dates are in GMT; the parser leaves the zone off for "-0000".
            found = found if found.tzinfo else found.replace(tzinfo=UTC)
            return found.astimezone(UTC)
        except (ValueError, OverflowError, TypeError, IndexError):
            continue
    return None
