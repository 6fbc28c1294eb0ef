"""A rate limiter: the generic cell rate algorithm (ITU-T I.371).

It needs one moment per caller: the time until which the caller has used up its allowance. What a caller owes is the
time left until then. Pure, except `RateLimiter`, which keeps those moments.
"""

import math
from collections.abc import Hashable
from dataclasses import dataclass

# A small margin, so that rounding doesn't turn a whole number into a little less.
_HAIR = 1e-6


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate of `per_second` over any length of time, of which `burst`, at least one, may come at once."""

    per_second: float
    burst: float

    @property
    def window(self) -> float:
        """The seconds in which a whole burst is regained."""
        return self.burst / self.per_second

    def allowance(self, owed: float) -> int:
        """The number that may come now from a caller that is `owed` seconds ahead of its rate."""
        return max(math.floor(self.burst - owed * self.per_second + _HAIR), 0)

    def wait(self, owed: float) -> float:
        """The seconds until the next one may come; 0 is now."""
        return 0.0 if self.allowance(owed) else owed - (self.burst - 1) / self.per_second


class RateLimiter:
    """The time until which each caller has used up its allowance. Callers within their limit take no memory; at most
    `most` others are kept, and beyond that the oldest are forgotten.
    """

    def __init__(self, rate: Rate, most: int) -> None:
        """Start with nobody over their limit."""
        self.rate = rate
        self._most = most
        self._paid: dict[Hashable, float] = {}

    def __len__(self) -> int:
        return len(self._paid)

    def owed(self, caller: Hashable, now: float) -> float:
        """The seconds that a caller owes at `now`, which never goes back."""
        return max(self._paid.get(caller, now) - now, 0.0)

    def charge(self, caller: Hashable, now: float) -> float:
        """Count one more, whether it was allowed or not: ask `owed` first. Returns what the caller owes then.

        Nobody owes more than a whole burst, however many calls come at once, so nobody waits longer than that.
        """
        if caller not in self._paid and len(self._paid) >= self._most:
            self._make_room(now)
        owed = min(self.owed(caller, now) + 1 / self.rate.per_second, self.rate.window)
        self._paid[caller] = now + owed
        return owed

    def _make_room(self, now: float) -> None:
        self._paid = {caller: paid for caller, paid in self._paid.items() if paid > now}
        while len(self._paid) >= self._most:
            del self._paid[next(iter(self._paid))]
