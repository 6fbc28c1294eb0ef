"""How many messages an endpoint with a rate limit may get now: the generic cell rate algorithm (ITU-T I.371).

It needs one instant per endpoint, which all delivery processes share: by when what it was sent is paid for. Pure.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

BURST_SECONDS = 1.0
"""So much of a rate may come at once, or a single message where that is less than one."""


@dataclass(frozen=True, slots=True)
class Pace:
    """An endpoint's messages a second at most, and by when those that it was sent are paid for."""

    rate: float
    paid_until: datetime | None

    def allowance(self, now: datetime) -> int:
        """How many messages may begin at `now`."""
        owed = max((self._paid(now) - now).total_seconds(), 0.0)
        burst = max(self.rate * BURST_SECONDS, 1.0)
        # A hair more, so that what is a whole number on paper doesn't come out a hair below it.
        return max(math.floor(burst - owed * self.rate + 1e-6), 0)

    def after(self, sent: int, now: datetime) -> datetime:
        """By when all is paid for once `sent` messages have begun at `now`."""
        return self._paid(now) + timedelta(seconds=sent / self.rate)

    def _paid(self, now: datetime) -> datetime:
        return now if self.paid_until is None else max(self.paid_until, now)
