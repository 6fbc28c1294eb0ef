"""Text that can't be stored: Postgres takes no NUL, in no column and at no depth of a document.

So it is refused where it comes in, with the field at fault. Further in it would fail a whole transaction, and other
people's text with it. Lone surrogates can't be stored either: JSON that escapes one isn't decoded, and told why.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

STORABLE_SCHEMA: dict[str, Any] = {"pattern": r"^[^\u0000]*$"}
"""The same, for those who read JSON Schema."""

_BACKSLASH = ord("\\")
_ESCAPED = b"\\u0000"
"""The one form of NUL in JSON: a raw one is no JSON."""
_ESCAPED_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_HALF = re.compile(r"[\ud800-\udfff]")


class Unstorable(NamedTuple):
    """The path of a field, as `data.topics[0]`, empty for the whole; and what is wrong with it."""

    path: str
    problem: str


def find_unstorable(raw: bytes) -> Unstorable | None:
    """The first text in JSON that can't be stored; None if all can be. The JSON must be one that can be decoded."""
    # Nearly no event has a backslash, and one byte is looked for ten times as fast as six. An escaped one before
    # `u0000` looks the same, so what is found is only worth a closer look.
    if _BACKSLASH not in raw or _ESCAPED not in raw:
        return None
    return next(_faults("", msgspec.json.decode(raw), unstorable_problem), None)


def find_lone_surrogate(raw: bytes) -> Unstorable | None:
    """The first half of a surrogate pair in JSON that can't be decoded; None if that isn't what is wrong with it.

    The decoder calls it truncated or malformed, which sends people looking for what isn't there.
    """
    if not _ESCAPED_HALF.search(raw):
        return None
    try:
        return next(_faults("", json.loads(raw), _half_in), None)
    except (ValueError, RecursionError):
        return None


def unstorable_problem(text: str) -> str | None:
    """What makes a text unstorable, in the words of `text.unprintable_problem`; None if nothing does."""
    at = text.find("\x00")
    return None if at < 0 else f"holds U+0000, a control character, at position {at + 1}"


def _half_in(text: str) -> str | None:
    found = _HALF.search(text)
    return found and f"holds U+{ord(found.group()):04X}, a lone surrogate, at position {found.start() + 1}"


def _faults(path: str, value: Any, fault: Callable[[str], str | None]) -> Iterator[Unstorable]:
    if isinstance(value, str):
        if problem := fault(value):
            yield Unstorable(path, problem)
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if problem := fault(name):
                yield Unstorable(path, f"has a name that {problem}")
            else:
                yield from _faults(f"{path}.{name}" if path else name, inner, fault)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _faults(f"{path}[{index}]", inner, fault)
