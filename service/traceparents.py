"""W3C trace contexts as text: `00-TRACE-SPAN-FLAGS`, all in hexadecimal. Pure."""

import re

_FORM = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_SAMPLED = 0x01


def valid(text: str) -> str | None:
    """The context, in its form of version 00; None if it is none."""
    return (
        f"00{text[2:55]}" if _FORM.match(text) and (len(text) == 55 or (text[55] == "-" and text[:2] != "00")) else None
    )


def sampled(raw: bytes | None) -> str | None:
    """The context that a record's header or attribute holds, if whoever wrote it keeps that trace; None otherwise."""
    if raw is None or len(raw) > 512:
        return None
    context = valid(raw.decode("latin-1"))
    return context if context and int(context[-2:], 16) & _SAMPLED else None
