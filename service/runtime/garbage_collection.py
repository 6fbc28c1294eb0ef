"""The garbage collector: kept from objects that stay, and run by hand between batches."""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def gc_frozen() -> Iterator[None]:
    """Freeze all existing objects, so that full collections skip them.

    Libraries and an application are some 170,000 objects. A full collection takes a tenth of a second to scan them, and
    every caller waits meanwhile.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


_give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""Gives freed memory back; exists in glibc only. Batches free much at once, most of which glibc would keep."""


@contextmanager
def gc_by_hand() -> Iterator[None]:
    """Keep the garbage collector out of batches, whose many objects it would scan again and again."""
    with gc_frozen():
        gc.disable()
        try:
            yield
        finally:
            gc.enable()


def collect() -> None:
    """Collect garbage, and return free memory to the system."""
    gc.collect()
    if _give_back is not None:
        _give_back(0)
