"""Receivers that misbehave in every way, and a delivery process that is killed again and again: nothing is lost."""

import asyncio
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.paths import ROOT
from tests.support.service import query
from tests.support.webhooks import (
    KEY,
    Answer,
    accept,
    add_alert,
    add_endpoint,
    local_settings,
    receiver,
    until,
    working,
)

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(170)]

ALERTS = 60
KILLS = 6
HEALTHY = 4


async def hang(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(3600)
    return web.Response()


async def drip(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "3600"})
    await response.prepare(request)
    for _ in range(3600):
        await response.write(b".")
        await asyncio.sleep(1)
    return response


async def ten_megabytes(request: web.Request) -> web.StreamResponse:
    return web.Response(body=b"x" * 10_000_000)


async def redirect(_: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("http://127.0.0.1:1/")


async def close_midway(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b"half of ")
    assert request.transport is not None
    request.transport.close()
    return response


def busy_at_first(times: int) -> Answer:
    """A number of answers with 429 and a wait of one second, then success."""
    left = [times]

    async def answer(_: web.Request) -> web.StreamResponse:
        left[0] -= 1
        return web.Response(status=204) if left[0] < 0 else web.Response(status=429, headers={"Retry-After": "1"})

    return answer


def dead_for(seconds: float) -> Answer:
    """Closes connections without a word for a while, then it is well."""
    alive_at = time.monotonic() + seconds

    async def answer(request: web.Request) -> web.StreamResponse:
        if time.monotonic() < alive_at:
            assert request.transport is not None
            request.transport.close()
        return web.Response(status=204)

    return answer


NEVER: Mapping[str, Answer] = {"hangs": hang, "redirects": redirect}
"""Receivers that never accept a message."""
ANYHOW: Mapping[str, Answer] = {"drips": drip, "ten megabytes": ten_megabytes, "closes midway": close_midway}
"""Receivers that answer 200 before they misbehave, and so have accepted the message."""


@asynccontextmanager
async def killed_again_and_again(database_url: str, kills: int) -> AsyncIterator[None]:
    """A delivery process that is killed at odd moments; after the last time it is left alone."""
    environment = {
        **os.environ,
        "HEALTH_DATABASE_URL": database_url,
        "HEALTH_ENCRYPTION_KEY": KEY,
        "HEALTH_WEBHOOK_ALLOW_NETWORKS": "127.0.0.1/32",
        "HEALTH_WEBHOOK_ALLOW_HTTP": "true",
        "HEALTH_WEBHOOK_TIMEOUT_SECONDS": "1",
        "HEALTH_LOG_LEVEL": "error",
    }
    command = [sys.executable, "-m", "tests.support.deliver"]
    chance = random.Random(5)

    async def go_on() -> None:
        for number in range(kills + 1):
            process = await asyncio.create_subprocess_exec(*command, env=environment, cwd=ROOT)
            try:
                await asyncio.sleep(3600 if number == kills else 1.5 + chance.random())
            finally:
                process.send_signal(signal.SIGKILL)
                await process.wait()

    task = asyncio.create_task(go_on())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def test_each_alert_reaches_each_receiver_that_can_take_it(engine: AsyncEngine, database_url: str) -> None:
    async with AsyncExitStack() as stack:
        recovering = {"busy": busy_at_first(20), "dead": dead_for(8)}
        well = {f"healthy {n}": accept for n in range(HEALTHY)} | recovering
        receivers = {
            name: await stack.enter_async_context(receiver(answer))
            for name, answer in {**NEVER, **ANYHOW, **well}.items()
        }
        for name, each in receivers.items():
            await add_endpoint(engine, each.url, description=name)
        sent: set[str] = set()
        async with killed_again_and_again(database_url, KILLS):
            for number in range(ALERTS):
                sent.add(str(await add_alert(engine, f"account-{number}")))
                await asyncio.sleep(0.1)
            takers = [*well, *ANYHOW]
            await until(lambda: all(set(receivers[name].ids) >= sent for name in takers), seconds=100)
            await _until_none_is_pending(engine, takers)
    for name in takers:
        assert set(receivers[name].ids) == sent, name
        assert receivers[name].messages(), name
    again = Counter(len(receivers[name].ids) - ALERTS for name in takers)
    assert max(again) > 0, "killing a process while it sends must have sent something twice, with the same id"
    for name in NEVER:
        assert set(receivers[name].ids) <= sent


async def _until_none_is_pending(engine: AsyncEngine, names: list[str]) -> None:
    """None of these receivers' deliveries may stay stuck."""
    async with asyncio.timeout(60):
        while rows := await query(
            engine,
            "SELECT description, count(*) FROM deliveries JOIN webhook_endpoints e ON e.id = endpoint_id "
            "WHERE state <> 'succeeded' AND description = ANY(:names) GROUP BY 1",
            names=names,
        ):
            await asyncio.sleep(0.2)
            assert rows


async def test_healthy_receivers_do_not_wait_for_as_many_that_hang(engine: AsyncEngine) -> None:
    """p99 within 2 s from the alert to its arrival, with the timeout that the service has by default."""
    arrived: dict[str, list[float]] = {}
    wrote: dict[str, float] = {}

    async def note(request: web.Request) -> web.StreamResponse:
        arrived.setdefault(request.headers["webhook-id"], []).append(time.monotonic())
        return web.Response(status=204)

    pairs = 10
    async with AsyncExitStack() as stack:
        for _ in range(pairs):
            for answer in (hang, note):
                await add_endpoint(engine, (await stack.enter_async_context(receiver(answer))).url)
        async with working(engine, local_settings(webhook_timeout_seconds=15), poll_seconds=0.2):
            for number in range(120):
                at = time.monotonic()
                wrote[str(await add_alert(engine, f"account-{number}"))] = at
                await asyncio.sleep(0.05)
            await until(lambda: sum(map(len, arrived.values())) == 120 * pairs, seconds=30)
    waits = sorted(at - wrote[message] for message, times in arrived.items() for at in times)
    assert len(waits) == 120 * pairs
    assert waits[int(len(waits) * 0.99)] < 2.0
