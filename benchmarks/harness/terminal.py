"""Telling the person at the terminal what goes on."""

import time

_started = time.monotonic()


def say(line: str) -> None:
    """A line with the time since the start."""
    minutes, seconds = divmod(round(time.monotonic() - _started), 60)
    print(f"[{minutes:2d}:{seconds:02d}] {line}", flush=True)
