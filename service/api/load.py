"""How many requests at once, and how long one may take: what keeps a process answering when too much is asked of it."""

import asyncio

from fastapi import Request, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api import problems

_DEADLINE = "health.deadline"
_ALIVE = "/livez"
_SOON = {"Retry-After": "1"}


class Load:
    """Answers 503 where too many requests are under way, or one has taken too long, and 408 where the caller was too
    slow. What is cut short is cancelled: its transaction is rolled back and its connection goes back to the pool.
    """

    def __init__(self, app: ASGIApp, most: int, seconds: float) -> None:
        """`app` is the rest of the service; `most` requests at once, each for `seconds`, its body included."""
        self._app = app
        self._most = most
        self._seconds = seconds
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # Whether the process lives is answered always: killing it for being busy would make the others busier.
        if self._under_way >= self._most and scope["path"] != _ALIVE:
            detail = f"{self._most:,} requests are under way. Try again."
            await problems.answer(503, detail, headers=_SOON)(scope, receive, send)
            return
        self._under_way += 1
        try:
            await self._within_time(scope, _Exchange(receive, send))
        finally:
            self._under_way -= 1

    async def _within_time(self, scope: Scope, exchange: "_Exchange") -> None:
        try:
            async with asyncio.timeout(self._seconds) as deadline:
                scope[_DEADLINE] = deadline
                await self._app(scope, exchange.receive, exchange.send)
        except TimeoutError:
            if exchange.is_answered or not deadline.expired():
                raise  # half an answer is out; or it isn't ours
            await _late(exchange.is_receiving)(scope, exchange.receive, exchange.send)


class _Exchange:
    """Knows whether the request is still coming, and the answer going."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self.is_receiving = False
        self.is_answered = False
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        self.is_receiving = True
        message = await self._receive()
        self.is_receiving = False
        return message

    async def send(self, message: Message) -> None:
        self.is_answered = True
        await self._send(message)


def _late(is_receiving: bool) -> Response:
    if is_receiving:
        detail = "The body didn't come in time. Send it faster, or in smaller parts."
        return problems.answer(408, detail, headers={"Connection": "close"})
    detail = "It took too long and was given up. Try again, or ask for less."
    return problems.answer(503, detail, headers=problems.RETRY_AFTER)


def allow(request: Request, seconds: float) -> None:
    """Let a request take so long from now on, if that is longer than others may."""
    deadline: asyncio.Timeout | None = request.scope.get(_DEADLINE)
    later = asyncio.get_running_loop().time() + seconds
    if deadline is not None and (when := deadline.when()) is not None and when < later:
        deadline.reschedule(later)
