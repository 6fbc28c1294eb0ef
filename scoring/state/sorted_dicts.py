"""Mappings sorted by key: with them, equal states are equal bytes.

Most events find their key already there or put it at the end, so restoring order after a fold that added keys is
cheaper than keeping it at every step.
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
    """The same where all but the last `added` keys, of which there is one at least, are in order: what lies before the
    lowest of these stays where it is.
    """
    keys = list(mapping)
    old = len(keys) - added
    lowest = keys[old] if added == 1 else min(keys[old:])
    after = keys[bisect_left(keys, lowest, 0, old) :]
    after.sort()
    take = mapping.pop
    for key in after:
        mapping[key] = take(key)
