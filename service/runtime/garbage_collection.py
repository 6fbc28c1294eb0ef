"""The garbage collector: kept from objects that stay, and run by hand between batches."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gc_frozen() -> Iterator[None]:
    """Freeze all existing objects, so that full collections skip them.

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
    with gc_frozen():
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
