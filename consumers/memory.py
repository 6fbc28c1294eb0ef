"""Memory that is no longer used: looked for by hand, and given back to the system."""

import ctypes
import gc

_give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)
"""Of glibc alone. Batches take and free much at once, of which it would keep the most."""


def collect() -> None:
    """Collect garbage, and give back what is free."""
    gc.collect()
    if _give_back is not None:
        _give_back(0)
