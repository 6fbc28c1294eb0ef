"""How many messages an endpoint with a rate limit may get now.

It needs one instant per endpoint, which all delivery processes share: by when what it was sent is paid for. Pure.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from service.runtime.rate_limit import Rate

BURST_SECONDS = 1.0
"""So much of a rate may come at once, or a single message where that is less than one."""

SLOWEST = 1e-5
"""Messages a second: about one a day. Slower ones would lead past the end of time."""


@dataclass(frozen=True, slots=True)
class EndpointRateLimit:
    """An endpoint's messages a second at most, and by when those that it was sent are paid for."""

    rate: float
    paid_until: datetime | None

    def allowance(self, now: datetime) -> int:
        """How many messages may begin at `now`."""
        rate = Rate(self._rate, max(self._rate * BURST_SECONDS, 1.0))
        return rate.allowance((self._paid(now) - now).total_seconds())

    def paid_until_after(self, sent: int, now: datetime) -> datetime:
        """By when all is paid for once `sent` messages have begun at `now`."""
        return self._paid(now) + timedelta(seconds=sent / self._rate)

    @property
    def _rate(self) -> float:
        return max(self.rate, SLOWEST)

    def _paid(self, now: datetime) -> datetime:
        return now if self.paid_until is None else max(self.paid_until, now)
