"""What can be a link in a message."""

from collections.abc import Collection
from urllib.parse import urlsplit


def is_web_address(text: str, schemes: Collection[str] = ("https",)) -> bool:
    """Whether it is an address with a host that people can open, without credentials, and of printable characters."""
    if not text.isprintable() or any(each in text for each in ' "<>\\'):
        return False
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises for what is no port
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname) and "@" not in parts.netloc
