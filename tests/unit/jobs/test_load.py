"""Cutting off late tasks, and no others."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from service.api.middleware.load_shedding import LoadShedder

pytestmark = pytest.mark.anyio

App = Callable[[Scope, Receive, Send], Awaitable[None]]
START: Message = {"type": "http.response.start", "status": 200, "headers": []}


async def ask(load: LoadShedder, receive: Receive | None = None) -> list[Message]:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def nothing() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    await load({"type": "http", "path": "/", "headers": [], "method": "GET"}, receive or nothing, send)
    return sent


async def sleeping(_scope: Scope, _receive: Receive, _send: Send) -> None:
    await asyncio.sleep(30)


async def test_what_is_late_is_answered_once_and_the_task_goes_on() -> None:
    start, body = await ask(LoadShedder(sleeping, 10, 0.1))
    assert start["status"] == json.loads(body["body"])["status"] == 503
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_a_cancellation_for_another_reason_passes() -> None:
    for seconds in (10.0, 0.05):
        asking = asyncio.create_task(ask(LoadShedder(sleeping, 10, seconds)))
        await asyncio.sleep(0)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_half_an_answer_is_not_followed_by_another() -> None:
    async def half(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send(START)
        await asyncio.sleep(30)

    with pytest.raises(ClientDisconnect):
        await ask(LoadShedder(half, 10, 0.1))


async def test_a_task_that_is_waited_for_is_named() -> None:
    async def reading(_scope: Scope, receive: Receive, _send: Send) -> None:
        await receive()

    async def never() -> Message:
        await asyncio.sleep(30)
        raise AssertionError

    start, _ = await ask(LoadShedder(reading, 10, 0.1), never)
    assert start["status"] == 408
    assert (b"connection", b"close") in start["headers"]


async def test_an_error_of_the_application_s_own_is_not_taken_for_ours() -> None:
    async def failing(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await ask(LoadShedder(failing, 10, 5))


async def test_nothing_is_left_behind() -> None:
    load = LoadShedder(sleeping, 2, 0.1)
    for _ in range(3):
        assert {(await asyncio.gather(ask(load), ask(load)))[0][0]["status"]} == {503}
    await asyncio.sleep(0.1)
    assert not load._under_way
    assert load._timer is None
