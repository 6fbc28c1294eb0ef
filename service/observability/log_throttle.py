"""Libraries that log each try: the first line of a kind is kept, and then one a while, with how many it stands for.

None of them is an error: they try again. What isn't over then, or won't be, our own lines say.
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
    """Lets a line of a noisy library through once in `AGAIN_SECONDS`. What makes a kind is the place that logs it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` never goes back."""
        super().__init__()
        self._clock = clock
        self._kept: dict[tuple[str, int], _Kept] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is to be written."""
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
