"""HTTP/1.1 as uvicorn speaks it, with bounds on what comes before there is a request: the application never sees it."""

import asyncio

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from service.api.problems import problem_bytes

HEAD_SECONDS = 10.0
"""How long a request's line and headers may take to come, and a new connection to say anything."""

MOST_HEAD_BYTES = 65_536
"""Of a request's line and headers, and of what may follow a chunked body."""

_DETAILS = {
    400: "This isn't HTTP/1.1.",
    408: "The request didn't come in time.",
    431: f"The request's line and headers must not exceed {MOST_HEAD_BYTES:,} bytes.",
}


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections on which no whole head comes in time, refuses heads that are too long, and says so as a
    problem; so is what is no HTTP at all.
    """

    _waiting: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _unfinished = 0
    _status = 400

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        """Somebody has connected."""
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """They have gone."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes of a request have come, or of several."""
        is_head = self._is_between_requests()
        if is_head and self._waiting is None:
            self._wait_for_head()
        super().data_received(data)
        if is_head and self._is_between_requests() and not self.transport.is_closing():
            # The parser holds an unfinished line back, and would for as long as it grows.
            self._unfinished += len(data)
            if self._unfinished > MOST_HEAD_BYTES:
                self._refuse(431)

    def on_url(self, url: bytes) -> None:
        """A piece of the path has come."""
        self._count(url)
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header has come, or a trailer."""
        self._count(name, value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """A request has come, but for its body."""
        self._stop_waiting()
        self._unfinished = 0
        super().on_headers_complete()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._head_bytes = 0
        super().on_message_begin()

    def send_400_response(self, msg: str) -> None:
        """Refuse what can't be parsed, or wasn't parsed to its end."""
        self._refuse(self._status)

    def _is_between_requests(self) -> bool:
        # uvicorn declares it as if it were there from the start.
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def _count(self, *parts: bytes) -> None:
        self._head_bytes += sum(map(len, parts))
        if self._head_bytes > MOST_HEAD_BYTES:
            self._status = 431
            raise ValueError("too long")  # the parser stops at it

    def _wait_for_head(self) -> None:
        self._waiting = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _give_up(self) -> None:
        self._waiting = None
        if not self.transport.is_closing():
            self._refuse(408)

    def _refuse(self, status: int) -> None:
        if not self._is_between_requests() and not self.cycle.more_body:
            self.cycle.keep_alive = False  # what came before is answered, and then it ends
            return
        if self._is_between_requests():
            body = problem_bytes(status, _DETAILS[status])
            head = [
                STATUS_LINE[status],
                b"content-type: application/problem+json\r\n",
                b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body),
            ]
            self.transport.write(b"".join([*head, body]))
        self.transport.close()
