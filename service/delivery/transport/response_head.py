"""Reads the head of an answer that the HTTP client rejects: its status line, which decides, and the readable headers.

A receiver that accepted a message says so in the status line. A later header that is too long, folded, duplicated or
not text must not cause the message to be sent nine more times.
"""

import re
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from aiohttp.client_proto import ResponseHandler

KEEP_BYTES = 16_384
_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9] ([1-9][0-9]{2})(?: [^\r\n]*)?\r?\n")
_END = re.compile(rb"\r?\n\r?\n")
_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,100})[ \t]*:[ \t]*(.*)")

answer_start: ContextVar[bytearray | None] = ContextVar("arriving", default=None)
"""The first bytes of the answer to this task's request, as they arrive."""


class RecordingHandler(ResponseHandler):
    """A connection that records the start of each answer for the task that made the request."""

    _start: bytearray | None = None

    def set_response_params(self, **params: Any) -> None:
        """Note the task whose request is about to be sent."""
        self._start = answer_start.get()
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Record received bytes, up to `KEEP_BYTES`."""
        if self._start is not None and len(self._start) < KEEP_BYTES:
            self._start += data[: KEEP_BYTES - len(self._start)]
        super().data_received(data)


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """A status, the readable headers (names in lower case, of several the first), and the bytes that follow them."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    rest: bytes = field(repr=False)


def read_head(start: bytes) -> ResponseHead | None:
    """The head of the final answer in the first bytes received, or None if there is no complete status line."""
    while line := _STATUS_LINE.match(start):
        status = int(line[1])
        end = _END.search(start, line.end() - 2)
        if status >= 200:
            head = start[line.end() : end.start() if end else len(start)]
            return ResponseHead(status, _headers(head), start[end.end() :] if end else b"")
        if end is None:
            return None
        start = start[end.end() :]
    return None


def _headers(head: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in head.decode("latin-1").splitlines():
        if match := _LINE.fullmatch(line.rstrip()):
            found.setdefault(match[1].lower(), match[2])
    return found
