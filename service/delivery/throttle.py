"""Throttle for an endpoint that has asked for fewer messages: paused for that time, then sent one message at a time.

Its capacity is unknown, so it is probed: one more message at a time after every ten successes, and back to one when the
endpoint asks again. Pure: the time is an argument.
"""

from dataclasses import dataclass, replace

GROWTH = 0.1


@dataclass(frozen=True, slots=True)
class Throttle:
    """The number of messages that may be under way, and the time before which none may begin (seconds of a monotonic
    clock).
    """

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
