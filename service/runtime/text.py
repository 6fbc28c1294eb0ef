"""Text that people write: all of Unicode but control characters and lone surrogates.

Names hold ideographic and no-break spaces, joiners, soft hyphens and direction marks, and emoji that are younger than
this interpreter's tables: `str.isprintable` refuses all of these. Line and paragraph separators (U+2028, U+2029) are
taken too, for they are no control characters, JSON and Postgres keep them, and terminals are sent them as escapes.
NUL, line feeds and the C1 range are refused, as are halves of surrogate pairs, which UTF-8 has no form for.
"""

import re
from typing import Any

PRINTABLE_SCHEMA: dict[str, Any] = {"pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$"}
"""What `fault` refuses, but for lone surrogates: JSON in UTF-8 can't hold them, and pattern languages differ there."""

_REFUSED = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def unprintable_problem(text: str) -> str | None:
    """What is wrong with a text, naming the first character at fault and its position from 1; None if nothing is."""
    if text.isprintable():  # the most are; it is the faster question
        return None
    found = _REFUSED.search(text)
    if found is None:
        return None
    code = ord(found.group())
    kind = "a lone surrogate" if code >= 0xD800 else "a control character"
    return f"holds U+{code:04X}, {kind}, at position {found.start() + 1}"
