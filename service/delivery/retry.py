"""The retry policy: done, retry later, or give up. Pure: the time and the randomness are arguments."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Literal

from service.delivery.retry_after import retry_after_wait


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The receiver answered 2xx: it now has the message."""


@dataclass(frozen=True, slots=True)
class RetryAt:
    """The attempt failed, and the next is due at `when`.

    With `paused_until` the attempt doesn't count: the receiver takes no messages at all before that. `asked` means that
    the receiver itself named that time.
    """

    when: datetime
    paused_until: datetime | None = None
    asked: bool = False


@dataclass(frozen=True, slots=True)
class GaveUp:
    """There is no further attempt: the schedule is `exhausted`, the receiver said that it is `gone` (410), or it
    `refused` the message in a way that no further attempt would change.
    """

    reason: Literal["exhausted", "gone", "refused"]


RetryDecision = Succeeded | RetryAt | GaveUp


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """The waits after failed attempts; there is one attempt more than there are delays.

    `jitter` lengthens every wait by up to that share of it, and never shortens it, so that deliveries that failed
    together come back spread out. `longest_asked` bounds the wait that a receiver may ask for with `Retry-After`. For
    its `lifetime` a message can be postponed at no cost by a receiver that takes nothing at the moment; after that each
    try counts.
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
"""The pause for a receiver that limits without saying for how long, or that says `Retry-After: 0`."""
FREE_POSTPONEMENTS = 30
"""The number of times a message is postponed just as long as asked; after that each wait is twice the last."""
LONGEST_POSTPONEMENT = timedelta(minutes=5)
"""The limit of that doubling."""


def decide(
    policy: RetryPolicy,
    attempt: int,
    status: int | None,
    retry_after: str | None,
    now: datetime,
    randomness: float,
) -> RetryDecision:
    """The decision after attempt number `attempt` (from 1), which ended at `now` with `status`, None if without an
    answer.

    Only 2xx is success; a redirect is a failure like any other. The wait is the longer of the schedule's and the one
    that the receiver asked for: never sooner than asked, and never sooner than scheduled, as a receiver that says
    `Retry-After: 0` while it fails must not make us hammer it.
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
    """True if a status is 2xx."""
    return status is not None and HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES


def postpone(
    policy: RetryPolicy, began_at: datetime, times: int, asked: timedelta | None, now: datetime, randomness: float
) -> RetryAt | None:
    """The decision after an attempt at a receiver that takes nothing at `now`; None if the message's lifetime is over.

    `began_at` is the start of its lifetime, `times` the number of postponements so far, and `asked` the pause that the
    receiver asks for, if any. A single message that is postponed again and again, while the receiver takes others, is
    retried ever more rarely.
    """
    if now - began_at >= policy.lifetime:
        return None
    pause = min(max(asked or LEAST_PAUSE, LEAST_PAUSE), policy.longest_asked)
    doubled = LEAST_PAUSE * 2 ** min(max(times - FREE_POSTPONEMENTS, 0), 10)
    wait = max(pause, min(doubled, LONGEST_POSTPONEMENT))
    return RetryAt(now + wait * (1 + policy.jitter * randomness), now + pause, asked=asked is not None)
