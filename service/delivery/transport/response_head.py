"""The head of an answer that the HTTP client refuses: its status line, which is what decides, and what else is there.

A receiver that took a message says so in the status line. That a header after it is too long, folded, doubled or no
text must not have the message sent to it nine times more.
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
"""Where the first bytes of the answer to this task's request are kept, as they come from the wire."""


class RecordingHandler(ResponseHandler):
    """A connection that keeps the start of each answer for the one who asked."""

    _start: bytearray | None = None

    def set_response_params(self, **params: Any) -> None:
        """A request is about to be sent, by the task that waits for its answer."""
        self._start = answer_start.get()
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        """Some bytes have come."""
        if self._start is not None and len(self._start) < KEEP_BYTES:
            self._start += data[: KEEP_BYTES - len(self._start)]
        super().data_received(data)


@dataclass(frozen=True, slots=True)
class ResponseHead:
    """A status, the headers that can be read (names in lower case, of several the first), and what follows them."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    rest: bytes = field(repr=False)


def read_head(start: bytes) -> ResponseHead | None:
    """The head of the final answer in the first bytes that came, None if there is no whole status line."""
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
