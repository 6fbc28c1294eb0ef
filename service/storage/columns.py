"""Rows as columns, which is how a statement over `unnest` takes them."""

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

SEPARATOR = "\x1f"
"""Of texts sent as one: ASCII's unit separator, which nothing printable holds, nor JSON."""


def columns(rows: Sequence[NamedTuple], texts: Collection[str] = ()) -> dict[str, Any]:
    """The values of each field; there must be a row at least. Those of `texts` are `joined`."""
    fields = zip(rows[0]._fields, zip(*rows, strict=True), strict=True)
    return {name: joined(values) if name in texts else list(values) for name, values in fields}


def joined(values: Sequence[str]) -> str:
    """Many texts as one, which asyncpg encodes in a tenth of the time of an array. None of them may be empty.

    Statements make an array of it again, with `string_to_array(:name, chr(31))`. Raises `ValueError` where that
    wouldn't give the same texts.
    """
    text = SEPARATOR.join(values)
    if text.count(SEPARATOR) >= max(len(values), 1) or "" in values:
        raise ValueError("a text that is sent with others is empty, or holds their separator")
    return text
