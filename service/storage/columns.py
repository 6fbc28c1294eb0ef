"""Rows as columns, which is how a statement over `unnest` takes them."""

from collections.abc import Sequence
from typing import Any, NamedTuple


def columns(rows: Sequence[NamedTuple]) -> dict[str, list[Any]]:
    """The values of each field; there must be a row at least."""
    return dict(zip(rows[0]._fields, map(list, zip(*rows, strict=True)), strict=True))
