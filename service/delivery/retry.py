"""What follows an attempt: done, again later, or given up. Pure: the time and the randomness are arguments."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Literal


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The receiver answered 2xx: the message is now its own."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """The attempt failed, and the next is due at `when`."""

    when: datetime


@dataclass(frozen=True, slots=True)
class GaveUp:
    """There will be no further attempt: the schedule is `exhausted`, or the receiver said it is `gone` (410)."""

    reason: Literal["exhausted", "gone"]


Outcome = Succeeded | RetryAt | GaveUp


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to wait after each failed attempt; one attempt more than there are delays.

    `jitter` lengthens every wait by up to that share of it, never shortens it: deliveries that failed together
    come back spread out. `longest_asked` bounds what a receiver may ask for with `Retry-After`.
    """

    delays: tuple[timedelta, ...]
    jitter: float = 0.2
    longest_asked: timedelta = timedelta(hours=24)


STANDARD = RetryPolicy(
    (
        timedelta(seconds=5),
        timedelta(minutes=5),
        timedelta(minutes=30),
        timedelta(hours=2),
        timedelta(hours=5),
        timedelta(hours=10),
        timedelta(hours=14),
        timedelta(hours=20),
        timedelta(hours=24),
    )
)
"""Ten attempts over a little more than three days: a receiver may be down from Friday night to Monday morning."""


def decide(
    policy: RetryPolicy,
    attempt: int,
    status: int | None,
    retry_after: str | None,
    now: datetime,
    randomness: float,
) -> Outcome:
    """What follows attempt number `attempt` (from 1) that ended at `now` with `status`, None if without an answer.

    Only 2xx is success; a redirect is a failure like any other. The wait is the longer of the schedule's and the
    one the receiver asked for: never sooner than it asked, and never sooner than scheduled either, as a receiver
    that says `Retry-After: 0` while it fails must not be able to make us hammer it.
    """
    if is_success(status):
        return Succeeded()
    if status == HTTPStatus.GONE:
        return GaveUp("gone")
    if attempt > len(policy.delays):
        return GaveUp("exhausted")
    asked = min(asked_wait(retry_after, now), policy.longest_asked)
    wait = max(policy.delays[attempt - 1], asked)
    return RetryAt(now + wait * (1 + policy.jitter * randomness))


def is_success(status: int | None) -> bool:
    """Whether a status is 2xx."""
    return status is not None and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def asked_wait(retry_after: str | None, now: datetime) -> timedelta:
    """The wait a `Retry-After` header asks for, as seconds or as a date; nothing if it is absent, past or nonsense."""
    text = (retry_after or "").strip()
    try:
        if text.isascii() and text.isdecimal():
            return timedelta(seconds=int(text[:12]))
        asked_for = parsedate_to_datetime(text)
        # RFC 9110 dates are in GMT; the parser leaves the zone off for "-0000".
        asked_for = asked_for if asked_for.tzinfo else asked_for.replace(tzinfo=UTC)
        return max(asked_for - now, timedelta())
    except (ValueError, OverflowError):
        return timedelta()
