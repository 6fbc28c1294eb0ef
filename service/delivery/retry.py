"""What follows an attempt: done, again later, or given up. Pure: the time and the randomness are arguments."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Literal

from service.delivery.retry_after import retry_after_wait


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The receiver answered 2xx: the message is now its own."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """The attempt failed, and the next is due at `when`.

    With `paused_until` it counts for nothing: the receiver takes no message of anybody before that. `asked` says that
    the receiver itself has named that time.
    """

    when: datetime
    paused_until: datetime | None = None
    asked: bool = False


@dataclass(frozen=True, slots=True)
class GaveUp:
    """There will be no further attempt: the schedule is `exhausted`, the receiver said that it is `gone` (410), or it
    `refused` the message in a way that no attempt would change.
    """

    reason: Literal["exhausted", "gone", "refused"]


RetryDecision = Succeeded | RetryAt | GaveUp


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to wait after each failed attempt; one attempt more than there are delays.

    `jitter` lengthens every wait by up to that share of it, never shortens it: deliveries that failed together
    come back spread out. `longest_asked` bounds what a receiver may ask for with `Retry-After`. For its `lifetime` a
    message is put off at no cost by a receiver that takes nothing at the moment; after that each time is an attempt.
    """

    delays: tuple[timedelta, ...]
    jitter: float = 0.2
    longest_asked: timedelta = timedelta(hours=24)
    lifetime: timedelta = timedelta(days=4)


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

LEAST_PAUSE = timedelta(seconds=1)
"""For a receiver that limits and does not say for how long, or says `Retry-After: 0`."""
FREE_POSTPONEMENTS = 30
"""How often a message is put off for no longer than it was asked for; after that for twice as long each time."""
LONGEST_POSTPONEMENT = timedelta(minutes=5)
"""As far as the doubling goes."""


def decide(
    policy: RetryPolicy,
    attempt: int,
    status: int | None,
    retry_after: str | None,
    now: datetime,
    randomness: float,
) -> RetryDecision:
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
    asked = min(retry_after_wait(retry_after, now), policy.longest_asked)
    wait = max(policy.delays[attempt - 1], asked)
    return RetryAt(now + wait * (1 + policy.jitter * randomness))


def is_success(status: int | None) -> bool:
    """Whether a status is 2xx."""
    return status is not None and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def postpone(
    policy: RetryPolicy, began_at: datetime, times: int, asked: timedelta | None, now: datetime, randomness: float
) -> RetryAt | None:
    """What follows an attempt at a receiver that takes nothing at `now`; None where the message's lifetime is over.

    `began_at` is when its lifetime began, `times` how often it was put off before, and `asked` for how long the
    receiver wants to be left alone, if it says so. A single message that is put off again and again, while the
    receiver takes others, comes back ever more rarely.
    """
    if now - began_at >= policy.lifetime:
        return None
    pause = min(max(asked or LEAST_PAUSE, LEAST_PAUSE), policy.longest_asked)
    doubled = LEAST_PAUSE * 2 ** min(max(times - FREE_POSTPONEMENTS, 0), 10)
    wait = max(pause, min(doubled, LONGEST_POSTPONEMENT))
    return RetryAt(now + wait * (1 + policy.jitter * randomness), now + pause, asked=asked is not None)
