"""HTTP/1.1 as uvicorn speaks it, with bounds on what the application never sees: heads that don't arrive or don't end,
bodies that nobody reads, and answers that the client doesn't take.
"""

import asyncio
import re

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from service.api.http.problems import problem_bytes

HEAD_SECONDS = 10.0
"""The time limit in seconds for a request's line and headers, and for the silence of a new connection."""

TAKE_SECONDS = 30.0
"""The time limit in seconds for a client to take an answer, or the end of a connection."""

STOP_SECONDS = 3.0
"""The seconds for which a stopping process waits until clients take answers; shorter than the limit of requests."""

LINGER_SECONDS = 1.0
"""The seconds of reading on from a refused client: a connection closed at once takes the refusal with it."""

MOST_HEAD_BYTES = 65_536
"""The limit for a request's line and headers, and for the trailers of a chunked body."""

_DETAILS = {
    400: "This isn't HTTP/1.1, or its body isn't as its headers say.",
    408: "The request didn't arrive in time.",
    501: "A body needs a length, or chunked encoding; no other transfer encoding is supported.",
    431: f"The request's line and headers must not exceed {MOST_HEAD_BYTES:,} bytes.",
}


_UPGRADE = re.compile(rb"(?<=\r\n)upgrade(?=:)", re.IGNORECASE)
_HEAD_ENDS = b"\r\n\r\n"
_MAY_GO_ON = re.compile(rb"\r(\n(\r|u(p(g(r(a(de?)?)?)?)?)?)?)?\Z", re.IGNORECASE)
"""The end of a piece of a head, after which the next one may end the head, or ask for another protocol."""


def _without_upgrade(data: bytes) -> bytes:
    """A head without its request for another protocol: it is answered in this one, with its body, as RFC 9110 has it.

    The parser leaves a body unread after an upgrade. Java's HTTP client asks for HTTP/2 with each first POST.
    """
    if not _UPGRADE.search(data):
        return data
    head, end, rest = data.partition(_HEAD_ENDS)
    return _UPGRADE.sub(b"x-upgrade", head) + end + rest


class BoundedProtocol(HttpToolsProtocol):
    """Ends idle connections, refuses heads that are too long or aren't HTTP at all, and answers both with a problem."""

    _waiting: asyncio.TimerHandle | None = None
    _untaken: asyncio.TimerHandle | None = None
    _is_in_head = False
    _is_in_body = False
    _is_refused = False
    _head_bytes = 0
    _unfinished = 0
    _held = b""
    _status = 400

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        """A client has connected."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._stop_waiting()
        self.resume_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of one or several requests have arrived."""
        if self._is_refused:
            return
        was_in_head = self._is_in_head
        if not self._is_in_body:
            data = _without_upgrade(self._whole(data))
        if data:
            super().data_received(data)
        if self._is_in_head and was_in_head:
            # The parser holds back an unfinished line, for as long as it grows.
            self._unfinished += len(data)
            if self._unfinished > MOST_HEAD_BYTES:
                self._refuse(431)
        # uvicorn has stopped waiting for another request, whatever arrived: the rest of one, or no request at all.
        if self._is_in_head or self._is_answered():
            self._wait()

    def _whole(self, data: bytes) -> bytes:
        """The bytes of a head so far, without an incomplete end: pieces are cut anywhere."""
        data, self._held = self._held + data, b""
        if _HEAD_ENDS in data or not (end := _MAY_GO_ON.search(data)) or not (end.start() or self._is_in_head):
            return data
        self._held = end.group()
        return data[: end.start()]

    def on_message_begin(self) -> None:
        """A request begins."""
        self._is_in_head = True
        self._head_bytes = self._unfinished = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """A piece of the path has arrived."""
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header has arrived, or a trailer."""
        self._count(name, value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A request has arrived, except its body."""
        self._check_transfer_encoding()
        self._is_in_head = False
        self._stop_waiting()
        super().on_headers_complete()
        self._is_in_body = True

    def on_message_complete(self) -> None:
        """A whole request has arrived."""
        self._is_in_body = False
        super().on_message_complete()
        if self._is_answered() and self._waiting is not None:
            # It was answered before it was complete: uvicorn began to wait for another one, and stopped.
            self._stop_waiting()
            self.on_response_complete()

    def on_response_complete(self) -> None:
        """An answer was written; if the connection ends with it, it must be taken in time too."""
        super().on_response_complete()
        if self.transport.is_closing() and self.transport.get_write_buffer_size():
            self.loop.call_later(TAKE_SECONDS, self.transport.abort)

    def pause_writing(self) -> None:
        """The client takes nothing."""
        super().pause_writing()
        self._untaken = self.loop.call_later(TAKE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The client takes data again."""
        super().resume_writing()
        if self._untaken is not None:
            self._untaken.cancel()
            self._untaken = None

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection: no other request has come."""
        self._end()

    def shutdown(self) -> None:
        """The process stops: requests under way are answered, and answers that clients don't take aren't waited for."""
        super().shutdown()
        self.loop.call_later(STOP_SECONDS, self._cut_untaken)

    def _cut_untaken(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def _unsupported_upgrade_warning(self) -> None:
        """Log nothing: a client that asks for another protocol is answered in this one, and needs no library for it."""

    def _check_transfer_encoding(self) -> None:
        encodings = [value for name, value in self.headers if name == b"transfer-encoding"]
        if encodings and [part.strip().lower() for part in b",".join(encodings).split(b",")] != [b"chunked"]:
            self._status = 501
            raise ValueError("another transfer encoding")  # the parser stops at it

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that can't be parsed, or wasn't parsed to its end."""
        self._refuse(self._status)

    def _is_answered(self) -> bool:
        # uvicorn declares it as if it were there from the start.
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _count(self, *parts: bytes) -> None:
        self._head_bytes += sum(map(len, parts))
        if self._head_bytes > MOST_HEAD_BYTES:
            self._status = 431
            raise ValueError("too long")  # the parser stops at it

    def _wait(self) -> None:
        if self._waiting is None and not self._is_refused:
            self._waiting = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        self._waiting = None
        if self._is_in_head:
            self._refuse(408)
        else:
            self._end()

    def _refuse(self, status: int) -> None:
        if self._is_refused or self.transport.is_closing():
            return
        if self._is_answered() and not self._is_in_body:
            self._send_problem(status)
        elif self._is_in_body and not (self.cycle.response_started or self.pipeline):
            # The handler learns that no more of the body will come, and its answer goes nowhere.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._send_problem(status)
        elif self.cycle.more_body:
            self._end()
        else:
            self.cycle.keep_alive = False  # earlier requests are answered, and then it ends

    def _send_problem(self, status: int) -> None:
        body = problem_bytes(status, _DETAILS[status])
        head = [
            STATUS_LINE[status],
            b"content-type: application/problem+json\r\n",
            b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body),
        ]
        self.transport.write(b"".join([*head, body]))
        self.transport.write_eof()
        self._is_refused = True
        self.loop.call_later(LINGER_SECONDS, self._end)

    def _end(self) -> None:
        """Close the connection once the output is taken, or after a while if it isn't."""
        if not self.transport.is_closing():
            self.transport.close()
            self.loop.call_later(TAKE_SECONDS, self.transport.abort)
