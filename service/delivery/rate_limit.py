"""The rate limit of an endpoint, as a token bucket in a single instant.

All delivery processes share that instant: the time until which the endpoint has used up its allowance. Pure.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from service.runtime.rate_limit import Rate

BURST_SECONDS = 1.0
"""The seconds of a rate that may be sent at once; at least a single message."""

SLOWEST = 1e-5
"""Messages per second: about one a day. Slower rates would overflow the calendar."""


@dataclass(frozen=True, slots=True)
class EndpointRateLimit:
    """An endpoint's limit in messages per second, and the time until which it has used up its allowance."""

    rate: float
    paid_until: datetime | None

    def allowance(self, now: datetime) -> int:
        """The number of messages that may begin at `now`."""
        rate = Rate(self._rate, max(self._rate * BURST_SECONDS, 1.0))
        return rate.allowance((self._paid(now) - now).total_seconds())

    def paid_until_after(self, sent: int, now: datetime) -> datetime:
        """The new `paid_until` after `sent` messages have begun at `now`."""
        return self._paid(now) + timedelta(seconds=sent / self._rate)

    @property
    def _rate(self) -> float:
        return max(self.rate, SLOWEST)

    def _paid(self, now: datetime) -> datetime:
        return now if self.paid_until is None else max(self.paid_until, now)
