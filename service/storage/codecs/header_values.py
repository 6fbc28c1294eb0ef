"""Values of record headers as JSON: base64, as they are any bytes; and null, which isn't empty."""

import base64

NULL = "="
"""Padding alone: no base64 of anything, and an empty value to code that doesn't know it, such as an earlier version."""


def to_text(value: bytes | None) -> str:
    """The text in which a header's value is stored."""
    return NULL if value is None else base64.b64encode(value).decode()


def from_text(text: str) -> bytes | None:
    """The header's value stored in a text."""
    return None if text == NULL else base64.b64decode(text)
