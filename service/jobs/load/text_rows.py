"""The rows of a text file, in bounded memory: its lines, or the elements of a JSON array."""

import re
from collections.abc import Iterator
from typing import BinaryIO

MOST_ROW_BYTES = 32 * 1024 * 1024
"""Twice the maximum of HEALTH_MAX_RECORD_BYTES. Longer lines are cut off; longer elements aren't read."""

_BLOCK = 1 << 20
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["{}\[\],]', re.DOTALL)


class ArrayError(ValueError):
    """An array that can't be split into elements."""


def lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines; longer ones are cut off at `MOST_ROW_BYTES`."""
    while line := file.readline(MOST_ROW_BYTES + 1):
        yield line
        if len(line) > MOST_ROW_BYTES:
            while not line.endswith(b"\n") and (line := file.readline(_BLOCK)):
                pass


def elements(file: BinaryIO) -> Iterator[bytes]:
    """The elements of an array, as raw text; text before its bracket is skipped.

    An element need not be JSON: only brackets and strings are parsed. Raises `ArrayError` if these don't match.
    """
    while (before := file.read(1)) != b"[":
        if not before:
            raise ArrayError("it is empty")
    buffer, scanned, depth, row = b"", 0, 1, 1
    while block := file.read(_BLOCK):
        buffer += block
        start = 0
        ends, scanned, depth = _ends(buffer, scanned, depth)
        for end in ends:
            yield buffer[start:end]
            start, row = end + 1, row + 1
        if depth == 0:
            rest = buffer[start:]
            while not rest.strip():
                if not (rest := file.read(_BLOCK)):
                    return
            raise ArrayError(f"after row {row - 1:,} the array ends, and something follows")
        buffer, scanned = buffer[start:], scanned - start
        if len(buffer) > MOST_ROW_BYTES:
            raise ArrayError(f"row {row:,} is longer than {MOST_ROW_BYTES:,} bytes, or its brackets don't match")
    raise ArrayError(f"the array ends within row {row:,}")


def _ends(buffer: bytes, scanned: int, depth: int) -> tuple[list[int], int, int]:
    """The ends of elements, from `scanned` on; the position scanned to, and the depth of brackets there."""
    ends: list[int] = []
    for token in _TOKEN.finditer(buffer, scanned):
        text = token.group()
        if text == b'"':  # a string that continues in the next block
            return ends, token.start(), depth
        scanned = token.end()
        if text == b",":
            if depth == 1:
                ends.append(token.start())
        elif text in b"{[":
            depth += 1
        elif text in b"}]":
            depth -= 1
            if depth == 0:
                ends.append(token.start())
                return ends, scanned, depth
    return ends, len(buffer), depth
