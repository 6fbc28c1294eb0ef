"""How much may come now of what is limited in rate: the generic cell rate algorithm (ITU-T I.371).

It needs one instant for whoever is limited: by when what they were given is paid for. What they owe is the time up to
it. Pure, but for `Owing`, which remembers.
"""

import math
from collections.abc import Hashable
from dataclasses import dataclass

# A hair more, so that what is a whole number on paper doesn't come out a hair below it.
_HAIR = 1e-6


@dataclass(frozen=True, slots=True)
class Rate:
    """So many a second over any length of time, and `burst`, at least one, at once."""

    per_second: float
    burst: float

    @property
    def window(self) -> float:
        """The seconds in which a whole burst is earned."""
        return self.burst / self.per_second

    def allowance(self, owed: float) -> int:
        """How many may come now from somebody who owes so many seconds."""
        return max(math.floor(self.burst - owed * self.per_second + _HAIR), 0)

    def wait(self, owed: float) -> float:
        """In how many seconds one may come; 0 is now."""
        return 0.0 if self.allowance(owed) else owed - (self.burst - 1) / self.per_second


class RateLimiter:
    """By when each of many callers has paid. Who owes nothing takes no room, and of the others `most` are kept: beyond
    that those who came first are forgiven.
    """

    def __init__(self, rate: Rate, most: int) -> None:
        """Nobody owes anything yet."""
        self.rate = rate
        self._most = most
        self._paid: dict[Hashable, float] = {}

    def __len__(self) -> int:
        return len(self._paid)

    def owed(self, caller: Hashable, now: float) -> float:
        """How many seconds a caller owes at `now`, which never goes back."""
        return max(self._paid.get(caller, now) - now, 0.0)

    def charge(self, caller: Hashable, now: float) -> None:
        """One more, whether it was allowed or not: it is for the caller to ask first.

        Nobody comes to owe more than a whole burst, whoever asked at the same time, so nobody waits longer than that.
        """
        if caller not in self._paid and len(self._paid) >= self._most:
            self._make_room(now)
        self._paid[caller] = now + min(self.owed(caller, now) + 1 / self.rate.per_second, self.rate.window)

    def _make_room(self, now: float) -> None:
        self._paid = {caller: paid for caller, paid in self._paid.items() if paid > now}
        while len(self._paid) >= self._most:
            del self._paid[next(iter(self._paid))]
