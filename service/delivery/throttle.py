"""An endpoint that has said that it takes no more at present: left alone for so long, then sent one message at a time.

How much it takes is not known, so it is found out: one more at a time after every ten that went well, and back to one
when it says so again. Pure: the time is an argument.
"""

from dataclasses import dataclass, replace

GROWTH = 0.1


@dataclass(frozen=True, slots=True)
class Throttle:
    """How many messages may be under way, and until when none may begin (seconds of a monotonic clock)."""

    most: float = 1.0
    paused_until: float = 0.0

    def paused_at(self, now: float) -> bool:
        """Whether nothing is to be sent at `now`."""
        return now < self.paused_until

    def after_limit(self, until: float) -> "Throttle":
        """After an answer that asks for nothing before `until`; of several the longest wait holds."""
        return Throttle(1.0, max(self.paused_until, until))

    def after_success(self) -> "Throttle":
        """After a message that was taken."""
        return replace(self, most=self.most + GROWTH)
