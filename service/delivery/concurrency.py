"""Limits concurrent attempts: a total, a share for each endpoint, and none to an endpoint that is down."""

from collections import Counter
from collections.abc import Collection
from uuid import UUID

from service.delivery.circuit_breaker import CLOSED, Breaker
from service.delivery.throttle import Throttle

SHARE = 8  # an endpoint holds at most an eighth of all slots
UNPROVEN = 1  # slots of an endpoint that hasn't answered quickly yet, or not the last time


class Slots:
    """Counts attempts under way, so that endpoints that hang don't occupy every slot.

    An endpoint starts with one slot, gets an eighth of them once it answers quickly, and drops back to one when it is
    slow. So endpoints that hang occupy one slot each, until their breakers trip, and only as many of them as there are
    slots could stop the others for that long. Times are seconds of a monotonic clock.
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
