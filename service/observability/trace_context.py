"""W3C trace contexts as text: `00-TRACE-SPAN-FLAGS`, all in hexadecimal. Pure."""

import re

_FORM = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_LENGTH = 55
_LONGEST = 512
_LAST = _LENGTH - 1
_ODD = frozenset(b"13579bdf")
"""The last digit of the flags of a context whose trace is recorded."""


def valid(text: str) -> str | None:
    """The context, in the form of version 00; None if it isn't one. Parts that later versions append are dropped."""
    if not _FORM.match(text):
        return None
    if len(text) == _LENGTH:
        return text if text.startswith("00") else f"00{text[2:]}"
    return f"00{text[2:_LENGTH]}" if text[_LENGTH] == "-" and not text.startswith("00") else None


def sampled(raw: bytes | None) -> str | None:
    """The context in a record's header or attribute, if its sender records that trace; None otherwise."""
    if raw is None or not _LENGTH <= len(raw) <= _LONGEST or raw[_LAST] not in _ODD:
        return None
    return valid(raw.decode("latin-1"))
