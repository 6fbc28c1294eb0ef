"""Messages to the person at the terminal."""

import time

_started = time.monotonic()


def say(line: str) -> None:
    """Print a line with the time since the start."""
    minutes, seconds = divmod(round(time.monotonic() - _started), 60)
    print(f"[{minutes:2d}:{seconds:02d}] {line}", flush=True)
