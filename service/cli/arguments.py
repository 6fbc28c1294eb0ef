"""Checks of a command line before any command sees it: text that isn't UTF-8, or holds NUL, is refused.

Python carries bytes that aren't UTF-8 as lone surrogates. Neither Postgres nor Kafka's JSON takes them, nor does a
terminal that they are printed on; without this check every command would have to look for them.
"""

import re
from collections.abc import Sequence

from service.runtime.errors import HealthError

_REFUSED = re.compile(r"[\x00\ud800-\udfff]")
_BYTES = range(0xDC80, 0xDD00)
"""Python's stand-ins for the bytes 0x80 to 0xFF where they aren't UTF-8."""


def require_text(words: Sequence[str]) -> None:
    """Raise `HealthError`, which names the option or argument, unless all words of a command line are plain text."""
    for index, word in enumerate(words):
        if found := _REFUSED.search(word):
            where = f"{_name(words, index)}, {_shown(word)},"
            raise HealthError(
                f"{where} {_fault(found.group())} at position {found.start() + 1}", _remedy(found.group())
            )


def _name(words: Sequence[str], index: int) -> str:
    """The option that a word gives or belongs to, if that can be found, else its place."""
    option, equals, _ = words[index].partition("=")
    if equals and option.startswith("-") and not _REFUSED.search(option):
        return f"The value of {option}"
    before = words[index - 1] if index else ""
    if before.startswith("--") and len(before) > 2 and "=" not in before and not words[index].startswith("-"):
        return f"The value of {before}"
    return f"Argument {index + 1}"


def _fault(character: str) -> str:
    code = ord(character)
    if code == 0:
        return "holds U+0000, a control character,"
    if code in _BYTES:
        return f"isn't UTF-8: it holds the byte 0x{code - 0xDC00:02X}"
    return f"holds U+{code:04X}, a lone surrogate,"


def _remedy(character: str) -> str:
    if ord(character) in _BYTES:
        return "Give it in UTF-8, and rename a file whose name isn't"
    return "Remove the character"


def _shown(word: str) -> str:
    """A word in a form that any terminal can show."""
    return ascii(word.encode("utf-8", "surrogateescape"))[1:] if _only_bytes(word) else ascii(word)


def _only_bytes(word: str) -> bool:
    return all(ord(found) in _BYTES for found in _REFUSED.findall(word))
