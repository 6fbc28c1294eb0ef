"""Text that people write: all of Unicode but control characters and lone surrogates; and text that can be stored.

Names hold ideographic and no-break spaces, joiners, soft hyphens and direction marks, and emoji that are younger than
this interpreter's tables: `str.isprintable` refuses all of these. Line and paragraph separators (U+2028, U+2029) are
accepted too: they aren't control characters, JSON and Postgres keep them, and terminals get them as escapes. NUL, line
feeds and the C1 range are refused, as are halves of surrogate pairs, which UTF-8 can't encode.

Postgres takes no NUL, in no column and at no depth of a document. So it is refused where it comes in, with the field at
fault. Further in it would fail a whole transaction, and other people's text with it. Lone surrogates can't be stored
either: JSON that escapes one isn't decoded, and the error says why.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

PRINTABLE_SCHEMA: dict[str, Any] = {"pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$"}
"""The rule of `unprintable_problem`, except for lone surrogates: JSON in UTF-8 can't hold them, and pattern languages
differ there.
"""

_REFUSED = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def unprintable_problem(text: str) -> str | None:
    """The fault of a text, with the first character at fault and its position from 1; None if there is none."""
    if text.isprintable():  # usually true, and the faster check
        return None
    found = _REFUSED.search(text)
    if found is None:
        return None
    code = ord(found.group())
    kind = "a lone surrogate" if code >= 0xD800 else "a control character"
    return f"holds U+{code:04X}, {kind}, at position {found.start() + 1}"


STORABLE_SCHEMA: dict[str, Any] = {"pattern": r"^[^\u0000]*$"}
"""The same rule as JSON Schema."""

_BACKSLASH = ord("\\")
_ESCAPED = b"\\u0000"
"""The only form of NUL in JSON: a raw one isn't valid."""
_ESCAPED_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_HALF = re.compile(r"[\ud800-\udfff]")


class Unstorable(NamedTuple):
    """The path of a field, such as `data.topics[0]`, empty for the whole; and what is wrong with it."""

    path: str
    problem: str


def find_unstorable(raw: bytes) -> Unstorable | None:
    """The first text in JSON that can't be stored; None if all can be. The JSON must be valid."""
    # Hardly any event has a backslash, and one byte is found ten times as fast as six. An escaped backslash before
    # `u0000` looks the same, so a match is only a reason to decode.
    if _BACKSLASH not in raw or _ESCAPED not in raw:
        return None
    return next(_faults("", msgspec.json.decode(raw), unstorable_problem), None)


def find_lone_surrogate(raw: bytes) -> Unstorable | None:
    """The first half of a surrogate pair in JSON that can't be decoded; None if that isn't the fault.

    The decoder calls such JSON truncated or malformed, which sends people looking in the wrong place.
    """
    if not _ESCAPED_HALF.search(raw):
        return None
    try:
        return next(_faults("", json.loads(raw), _half_in), None)
    except (ValueError, RecursionError):
        return None


def unstorable_problem(text: str) -> str | None:
    """The reason why a text can't be stored, worded as in `unprintable_problem`; None if it can."""
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
