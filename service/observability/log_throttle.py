"""Throttling of libraries that log each retry: the first line of a kind is kept, then one per interval, with the number
it stands for.

None of these lines is an error: the library retries. If the trouble lasts, our own lines say so.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

AGAIN_SECONDS = 300.0
_NOISY = ("aiokafka", "opentelemetry")


@dataclass
class _Kept:
    at: float
    dropped: int = 0


class RepeatFilter(logging.Filter):
    """Lets a line of a noisy library through once in `AGAIN_SECONDS`. Lines logged at one place are of one kind."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` never goes back."""
        super().__init__()
        self._clock = clock
        self._kept: dict[tuple[str, int], _Kept] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """True if the line is to be written."""
        if not record.name.startswith(_NOISY):
            return True
        now = self._clock()
        kind = record.pathname, record.lineno
        last = self._kept.get(kind)
        if last is not None and now - last.at < AGAIN_SECONDS:
            last.dropped += 1
            return False
        if last is not None and last.dropped:
            record.msg = f"{record.msg} (and {last.dropped} times since it was last said)"
        self._kept[kind] = _Kept(now)
        if record.levelno > logging.WARNING:
            record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
        return True
