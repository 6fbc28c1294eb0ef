"""Checks of links in messages."""

from collections.abc import Collection
from urllib.parse import urlsplit


def is_web_address(text: str, schemes: Collection[str] = ("https",)) -> bool:
    """True for an address with a host that people can open: no credentials, only printable characters."""
    if not text.isprintable() or any(each in text for each in ' "<>\\'):
        return False
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises if it isn't a port
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname) and "@" not in parts.netloc
