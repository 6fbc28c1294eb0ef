"""Mappings sorted by key, so that equal states have equal bytes.

Most events find their key already there or append it, so restoring the order after a fold that added keys is cheaper
than keeping it at every step.
"""

from bisect import bisect_left
from typing import Any, TypeVar

Key = TypeVar("Key", bound=Any)
Value = TypeVar("Value")


def sort_keys(mapping: dict[Key, Value]) -> None:
    """Sort `mapping` by key, in place."""
    items = sorted(mapping.items())
    mapping.clear()
    mapping.update(items)


def sort_added(mapping: dict[Key, Value], added: int) -> None:
    """Like `sort_keys`, when only the last `added` (>= 1) keys are out of order: keys below the lowest of these stay in
    place.
    """
    keys = list(mapping)
    old = len(keys) - added
    if added == 1:
        after = keys[bisect_left(keys, keys[old], 0, old) : old]
    else:
        after = keys[bisect_left(keys, min(keys[old:]), 0, old) :]
        after.sort()
    take = mapping.pop
    for key in after:
        mapping[key] = take(key)
