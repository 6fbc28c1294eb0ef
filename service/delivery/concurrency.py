"""Limits concurrent attempts: a total, a share for each endpoint, none to one that is down, few to one that asks so.

A breaker leaves an endpoint that is down alone for a while, then tries it with a single message. Without it, every
message for it would go through all its attempts, each as long as the timeout, only to fail like the one before.

A throttle probes the unknown capacity of an endpoint that has asked for fewer messages: paused for that time, it is
sent one message at a time, then one more after every ten successes, and back to one when it asks again.

Pure: the time is an argument, in seconds of a monotonic clock.
"""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace
from http import HTTPStatus
from uuid import UUID

SHARE = 8  # an endpoint holds at most an eighth of all slots
UNPROVEN = 1  # slots of an endpoint that hasn't answered quickly yet, or not the last time

TRIPS_AFTER = 5
"""Failures in a row."""
FIRST_REST_SECONDS = 5.0
LONGEST_REST_SECONDS = 300.0

GROWTH = 0.1
"""Messages that a throttle allows more after each success."""

_DOWN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(frozen=True, slots=True)
class Breaker:
    """Closed while `rested_until` is 0; open until then; after that, half open: one message is let through."""

    failures: int = 0
    rest_seconds: float = 0.0
    rested_until: float = 0.0

    def open_at(self, now: float) -> bool:
        """True if nothing may be sent at `now`."""
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


@dataclass(frozen=True, slots=True)
class Throttle:
    """The number of messages that may be under way, and the time before which none may begin."""

    most: float = 1.0
    paused_until: float = 0.0

    def paused_at(self, now: float) -> bool:
        """True if nothing may be sent at `now`."""
        return now < self.paused_until

    def after_limit(self, until: float) -> "Throttle":
        """The throttle after an answer that asks for nothing before `until`; of several, the longest wait holds."""
        return Throttle(1.0, max(self.paused_until, until))

    def after_success(self) -> "Throttle":
        """The throttle after an accepted message."""
        return replace(self, most=self.most + GROWTH)


class Slots:
    """Counts attempts under way, so that endpoints that hang don't occupy every slot.

    An endpoint starts with one slot, gets an eighth of them once it answers quickly, and drops back to one when it is
    slow. So endpoints that hang occupy one slot each, until their breakers trip, and only as many of them as there are
    slots could stop the others for that long.
    """

    def __init__(self, total: int) -> None:
        """With a `total` of one slot, endpoints can't be treated fairly."""
        self.total = total
        self.free = total
        self._share = max(UNPROVEN, total // SHARE)
        self._under_way: Counter[UUID] = Counter()
        self._quick: set[UUID] = set()
        self._breakers: dict[UUID, Breaker] = {}
        self._throttles: dict[UUID, Throttle] = {}

    def room(self, now: float) -> dict[UUID, int]:
        """The number of attempts that may begin now at each endpoint; `UNPROVEN` for endpoints that are absent."""
        known = self._quick | self._under_way.keys() | self._breakers.keys() | self._throttles.keys()
        return {endpoint: self._room(endpoint, now) for endpoint in known}

    @property
    def open_breakers(self) -> set[UUID]:
        """The endpoints that are down, which get nothing, or a single message as a trial."""
        return {endpoint for endpoint, breaker in self._breakers.items() if breaker.tripped}

    def acquire(self, endpoint: UUID) -> None:
        """Count an attempt that begins."""
        self.free -= 1
        self._under_way[endpoint] += 1

    def release(self, endpoint: UUID, *, quick: bool) -> None:
        """Free the slot of an attempt that has ended, or was never made."""
        self.free += 1
        self._under_way[endpoint] -= 1
        if not self._under_way[endpoint]:
            del self._under_way[endpoint]
        (self._quick.add if quick else self._quick.discard)(endpoint)

    def record_answer(self, endpoint: UUID, status: int | None, now: float) -> None:
        """Note the answer of an attempt: a status, or None if there was no answer."""
        self._update_breaker(endpoint, status, now)

    def _update_breaker(self, endpoint: UUID, status: int | None, now: float) -> None:
        breaker = self._breakers.get(endpoint, CLOSED).after(status, now)
        if breaker == CLOSED:
            self._breakers.pop(endpoint, None)
        else:
            self._breakers[endpoint] = breaker

    def record_limit(self, endpoint: UUID, status: int | None, until: float, now: float, *, asked: bool) -> None:
        """Note an answer that asks for nothing more before `until`.

        If the receiver itself `asked` for that time, it is tried again then, however often it asks. Otherwise the first
        of several such answers to concurrent messages counts as a failure for its breaker, which thus trips for a
        receiver that never takes anything, but not for one that takes a few of many.
        """
        throttle = self._throttles.get(endpoint, Throttle())
        if not asked and not throttle.paused_at(now):
            self._update_breaker(endpoint, status, now)
        self._throttles[endpoint] = throttle.after_limit(until)

    def record_success(self, endpoint: UUID) -> None:
        """Note an accepted message: a limited endpoint may then be sent a little more at a time."""
        if throttle := self._throttles.pop(endpoint, None):
            grown = throttle.after_success()
            if grown.most < self._share:
                self._throttles[endpoint] = grown

    def next_pause_ends(self, now: float) -> float | None:
        """Seconds until the first of the pauses ends, or None if there is none."""
        left = [each.paused_until - now for each in self._throttles.values() if each.paused_at(now)]
        return min(left, default=None)

    def forget_all_but(self, endpoints: Collection[UUID]) -> None:
        """Forget all endpoints except these; the others are disabled or deleted."""
        self._quick &= set(endpoints)
        self._breakers = {endpoint: breaker for endpoint, breaker in self._breakers.items() if endpoint in endpoints}
        self._throttles = {endpoint: each for endpoint, each in self._throttles.items() if endpoint in endpoints}

    def _room(self, endpoint: UUID, now: float) -> int:
        breaker = self._breakers.get(endpoint, CLOSED)
        throttle = self._throttles.get(endpoint)
        if breaker.open_at(now) or (throttle and throttle.paused_at(now)):
            return 0
        most = self._share if endpoint in self._quick and not breaker.tripped else UNPROVEN
        if throttle:
            most = min(most, int(throttle.most))
        return max(0, most - self._under_way[endpoint])
