"""Memory that is no longer used: looked for by hand, and given back to the system."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager

from service.garbage import passing_over_what_stays

_give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""Of glibc alone. Batches take and free much at once, of which it would keep the most."""


@contextmanager
def collecting_by_hand() -> Iterator[None]:
    """Keep the garbage collector out of batches, whose many objects it would look through again and again."""
    with passing_over_what_stays():
        gc.disable()
        try:
            yield
        finally:
            gc.enable()


def collect() -> None:
    """Collect garbage, and give back what is free."""
    gc.collect()
    if _give_back is not None:
        _give_back(0)
