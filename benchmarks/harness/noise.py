"""How much of the machine others took while something was measured."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.harness.processes import foreign_cpu_seconds


class Foreign:
    """The share of all processors that went to others, from 0 to 1; known at the end of `others`."""

    share = 0.0


@contextmanager
def others() -> Iterator[Foreign]:
    """Watch what others take until the end of the block."""
    foreign = Foreign()
    started, cpu_started = time.monotonic(), foreign_cpu_seconds()
    yield foreign
    seconds = max(time.monotonic() - started, 1e-3)
    foreign.share = max(foreign_cpu_seconds() - cpu_started, 0.0) / seconds / (os.cpu_count() or 1)
