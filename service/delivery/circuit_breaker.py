"""A circuit breaker for one endpoint: one that is down is left alone for a while, then tried with a single message.

Without it, every message for a receiver that is down would go through all its attempts, each as long as the timeout,
only to fail like the one before. Pure: the time is an argument.
"""

from dataclasses import dataclass
from http import HTTPStatus

TRIPS_AFTER = 5
"""Failures in a row."""
FIRST_REST_SECONDS = 5.0
LONGEST_REST_SECONDS = 300.0

_DOWN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True, slots=True)
class Breaker:
    """Closed while `rested_until` is 0; open until then; after that, half open: one message is let through."""

    failures: int = 0
    rest_seconds: float = 0.0
    rested_until: float = 0.0

    def open_at(self, now: float) -> bool:
        """True if nothing may be sent at `now` (seconds of a monotonic clock)."""
        return now < self.rested_until

    @property
    def tripped(self) -> bool:
        """True if the breaker is open or half open."""
        return self.rested_until > 0

    def after(self, status: int | None, now: float) -> "Breaker":
        """The breaker after an attempt that ended at `now` with `status`, None if there was no answer.

        A receiver that answers is up, even if it refuses a message; except for 408, 429 and 5xx, which are about the
        receiver itself.
        """
        if status is not None and status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in _DOWN:
            return CLOSED
        failures = self.failures + 1
        if failures < TRIPS_AFTER or self.open_at(now):
            # If it is already open, attempts that began together with this one have tripped it.
            return Breaker(failures, self.rest_seconds, self.rested_until)
        rest = min(self.rest_seconds * 2 or FIRST_REST_SECONDS, LONGEST_REST_SECONDS)
        return Breaker(failures, rest, now + rest)


CLOSED = Breaker()
