"""Mappings sorted by key: with them, equal states are equal bytes.

Most events find their key already there or put it at the end, so sorting after a fold that added keys is cheaper than
keeping order at every step.
"""

from typing import Any, TypeVar

Key = TypeVar("Key", bound=Any)
Value = TypeVar("Value")


def sort_keys(mapping: dict[Key, Value]) -> None:
    """Sort `mapping` by key, in place."""
    items = sorted(mapping.items())
    mapping.clear()
    mapping.update(items)
