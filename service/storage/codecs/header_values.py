"""Values of records' headers as JSON holds them: base64, for they are any bytes; and null, which isn't empty."""

import base64

NULL = "="
"""Padding alone: no base64 of anything, and the empty value to who doesn't know of it, such as an earlier version."""


def as_text(value: bytes | None) -> str:
    """The text to keep a header's value as."""
    return NULL if value is None else base64.b64encode(value).decode()


def from_text(text: str) -> bytes | None:
    """The header's value that a text was kept of."""
    return None if text == NULL else base64.b64decode(text)
