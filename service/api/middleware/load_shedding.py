"""Load shedding: a limit on requests at once and on the time of each keeps an overloaded process answering."""

import asyncio
from typing import Any

from fastapi import Request, Response
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.http import problems

_UNDER_WAY = "health.under_way"
_ALIVE = "/livez"
_SOON = {"Retry-After": "1"}
_LONGEST_TICK = 0.25


class LoadShedder:
    """Answers 503 if too many requests are under way or one takes too long, and 408 if the client was too slow.
    Requests that are cut short are cancelled: the transaction is rolled back and its connection returns to the pool.
    """

    def __init__(self, app: ASGIApp, most: int, seconds: float) -> None:
        """`app` is the rest of the service; `most` requests at once, each for `seconds`, its body included."""
        self._app = app
        self._most = most
        self._seconds = seconds
        self._tick = min(seconds / 4, _LONGEST_TICK)
        self._under_way: set[_UnderWay] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # The liveness probe is always answered: killing a process for being busy would make the others busier.
        if len(self._under_way) >= self._most and scope["path"] != _ALIVE:
            detail = f"{self._most:,} requests are under way. Try again."
            await problems.answer(503, detail, headers=_SOON)(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        request = _UnderWay(receive, send, loop.time() + self._seconds)
        scope[_UNDER_WAY] = request
        self._under_way.add(request)
        if self._timer is None:
            self._timer = loop.call_later(self._tick, self._look)
        try:
            await self._app(scope, request.receive, request.send)
        except asyncio.CancelledError:
            if not request.has_ended_late():
                raise
            if request.is_answered:
                raise ClientDisconnect from None  # the client doesn't take the answer
            await _late(request.is_receiving)(scope, receive, send)
        finally:
            self._under_way.discard(request)

    def _look(self) -> None:
        """Cancel late requests. There is one timer for all: one for each would cost more than a fast answer may."""
        now = asyncio.get_running_loop().time()
        for request in self._under_way:
            if request.until <= now:
                request.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._tick, self._look) if self._under_way else None


class _UnderWay:
    """A request: its deadline, whether its body is still arriving, and whether its answer is going out."""

    __slots__ = ("_cancelled_before", "_is_late", "_receive", "_send", "_task", "is_answered", "is_receiving", "until")

    def __init__(self, receive: Receive, send: Send, until: float) -> None:
        task: asyncio.Task[Any] | None = asyncio.current_task()
        assert task is not None
        self.until = until
        self.is_receiving = False
        self.is_answered = False
        self._receive = receive
        self._send = send
        self._task = task
        self._cancelled_before = task.cancelling()
        self._is_late = False

    def cancel(self) -> None:
        if not self._is_late:
            self._is_late = True
            self._task.cancel()

    def has_ended_late(self) -> bool:
        """True if it was cancelled for being late, and for nothing else."""
        return self._is_late and self._task.uncancel() <= self._cancelled_before

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
        detail = "The body didn't arrive in time. Send it faster, or in smaller parts."
        return problems.answer(408, detail, headers={"Connection": "close"})
    detail = "It took too long and was cancelled. Try again, or ask for less."
    return problems.answer(503, detail, headers=problems.RETRY_AFTER)


def allow(request: Request, seconds: float) -> None:
    """Give a request `seconds` from now on, if that is longer than its present limit."""
    under_way: _UnderWay | None = request.scope.get(_UNDER_WAY)
    if under_way is not None:
        under_way.until = max(under_way.until, asyncio.get_running_loop().time() + seconds)
