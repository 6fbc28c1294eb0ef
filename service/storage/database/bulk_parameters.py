"""Turns rows into columns, as statements over `unnest` take them.

asyncpg takes half a microsecond for each element of an array, while a text of many elements costs next to nothing. So
if there are many rows, their columns are sent as texts, which statements split into arrays again.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import msgspec

SEPARATOR = "\x1f"
"""The separator of texts sent as one: ASCII's unit separator, which neither printable text nor JSON contains."""

_encode = msgspec.json.Encoder().encode


def unnest_parameters(
    rows: Sequence[NamedTuple],
    texts: Collection[str] = (),
    numbers: Collection[str] = (),
    repeated: Collection[str] = (),
) -> dict[str, Any]:
    """The values of each field; there must be at least one row. Fields in `texts` are sent by `joined_texts`; those
    in `numbers` and `repeated` as array literals, by `number_array` and `text_array`.
    """
    making: dict[str, Callable[[Any], Any]] = {
        **dict.fromkeys(texts, joined_texts),
        **dict.fromkeys(numbers, number_array),
        **dict.fromkeys(repeated, text_array),
    }
    fields = zip(rows[0]._fields, zip(*rows, strict=True), strict=True)
    return {name: making.get(name, list)(values) for name, values in fields}


def joined_texts(values: Sequence[str]) -> str:
    """Many texts as one. None of them may be empty.

    Statements split it again, with `string_to_array(:name, chr(31))`. Raises `ValueError` if that wouldn't give the
    same texts.
    """
    text = SEPARATOR.join(values)
    if text.count(SEPARATOR) >= max(len(values), 1) or "" in values:
        raise ValueError("a text that is sent with others is empty, or holds their separator")
    return text


def number_array(values: Sequence[float | None]) -> str:
    """An array literal of numbers, for `CAST(CAST(:name AS text) AS float8[])` and the like.

    Raises `ValueError` if one is infinite or not a number, which JSON can't express.
    """
    text = _encode(values)[1:-1].decode()
    if text.count("null") != values.count(None):
        raise ValueError("a number that is sent with others is none, or infinite")
    return "{" + text + "}"


def text_array(values: Sequence[str]) -> str:
    """An array literal of arbitrary texts, for `CAST(CAST(:name AS text) AS text[])`.

    Fast if only a few of them differ.
    """
    quoted = {value: '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in set(values)}
    return "{" + ",".join([quoted[value] for value in values]) + "}"
