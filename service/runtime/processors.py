"""The processors of the machine."""

import os


def usable_processors() -> int:
    """The number of processors that this process may use, at least 1; of all, where the system can't tell (macOS)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
