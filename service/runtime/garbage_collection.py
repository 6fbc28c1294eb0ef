"""What the garbage collector needn't look at."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager

# MERGED """Memory that is no longer used: looked for by hand, and given back to the system."""


@contextmanager
def passing_over_what_stays() -> Iterator[None]:
    """Have it pass over all that there is, which stays until the end.

    Libraries and an application are some 170,000 objects. A full collection takes a tenth of a second to look through
    them, and whoever asks meanwhile waits.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


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
