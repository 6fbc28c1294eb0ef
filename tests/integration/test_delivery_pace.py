"""An endpoint's rate limit holds over all delivery processes, and one that is down is left alone."""

import time
from collections import Counter

import pytest
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from service.delivery.breaker import TRIPS_AFTER
from service.metrics import DELIVERY_OPEN_BREAKERS
from tests.support.webhooks import add_alert, add_endpoint, answers, local_settings, receiver, until, working

pytestmark = pytest.mark.anyio


async def test_two_workers_keep_to_the_rate_together_and_others_are_not_held_back(engine: AsyncEngine) -> None:
    began: list[float] = []

    async def note(_: web.Request) -> web.StreamResponse:
        began.append(time.monotonic())
        return web.Response()

    async with receiver(note) as slow, receiver() as free:
        await add_endpoint(engine, slow.url, rate_limit=20.0)
        await add_endpoint(engine, free.url)
        for n in range(60):
            await add_alert(engine, f"account-{n}")
        async with working(engine, local_settings()), working(engine, local_settings()):
            await until(lambda: len(free.ids) == 60)
            assert len(slow.ids) < 40
            await until(lambda: len(slow.ids) == 60)
    assert max(Counter(slow.ids).values()) == 1
    assert began[-1] - began[0] > (60 - 20) / 20 - 0.2
    for first, last in zip(began, began[40:], strict=False):
        assert last - first > 0.8


async def test_an_endpoint_that_is_down_is_left_alone(engine: AsyncEngine) -> None:
    async with receiver(answers(503)) as down, receiver() as well:
        await add_endpoint(engine, down.url)
        await add_endpoint(engine, well.url)
        for n in range(40):
            await add_alert(engine, f"account-{n}")
        async with working(engine, local_settings()):
            await until(lambda: len(well.ids) == 40)
            await until(lambda: DELIVERY_OPEN_BREAKERS.labels("standard")._value.get() == 1)
    assert len(down.ids) < TRIPS_AFTER + 32
