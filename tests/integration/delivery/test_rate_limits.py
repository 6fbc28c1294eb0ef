"""An endpoint's rate limit holds over all delivery processes, and one that is down is left alone."""

import time
from collections import Counter
from datetime import UTC, datetime

import pytest
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from service.delivery import worker
from service.delivery.claim import claim
from service.delivery.concurrency import TRIPS_AFTER
from service.storage.webhooks import endpoints, rate_limits
from service.storage.webhooks.outbox import SendingLimits
from tests.support.scraped import value
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
            await until(lambda: value("health_delivery_open_breakers", target="standard") == 1)
    assert len(down.ids) < TRIPS_AFTER + 32


async def test_one_that_is_disabled_meanwhile_is_no_longer_shown_as_down(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "REFRESH_SECONDS", 0.1)

    def shown(state: str) -> float | None:
        return value("health_delivery_endpoints", target="standard", state=state)

    async with receiver(answers(503)) as down, working(engine, local_settings()):
        endpoint = await add_endpoint(engine, down.url)
        for n in range(40):
            await add_alert(engine, f"account-{n}")
        await until(lambda: value("health_delivery_open_breakers", target="standard") == 1)
        await until(lambda: (shown("failing"), shown("ok")) == (1, 0))
        async with engine.begin() as connection:
            await endpoints.disable(connection, endpoint, "failing", datetime.now(UTC))
        await until(lambda: value("health_delivery_open_breakers", target="standard") == 0)
        await until(lambda: (shown("failing"), shown("disabled_failing")) == (0, 1))


async def test_limits_are_looked_up_only_where_there_are_some(
    engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "REFRESH_SECONDS", 0.1)
    lookups = 0
    hold = rate_limits.lock

    async def counted(connection: AsyncConnection) -> list[rate_limits.EndpointRate]:
        nonlocal lookups
        lookups += 1
        return await hold(connection)

    monkeypatch.setattr(rate_limits, "lock", counted)
    async with receiver() as free, receiver() as slow, working(engine, local_settings()):
        await add_endpoint(engine, free.url)
        await until(lambda: value("health_delivery_endpoints", target="standard", state="ok") == 1)
        before = lookups
        await add_alert(engine, "first")
        await until(lambda: len(free.ids) == 1)
        assert lookups == before
        await add_endpoint(engine, slow.url, rate_limit=4.0)
        began = time.monotonic()
        for n in range(8):
            await add_alert(engine, f"account-{n}")
        await until(lambda: len(slow.ids) == 8)
        assert time.monotonic() - began > (8 - 4) / 4 - 0.2
        assert lookups > before


async def test_who_does_not_hold_limits_claims_nothing_for_those_that_have_one(engine: AsyncEngine) -> None:
    limited = await add_endpoint(engine, "http://127.0.0.1:1/limited", rate_limit=5.0)
    free = await add_endpoint(engine, "http://127.0.0.1:1/free")
    await add_alert(engine, "acme")
    for include_rate_limited, expected in ((False, {free}), (True, {limited})):
        async with engine.begin() as connection:
            limits = SendingLimits(room={limited: 5}, default_room=1, include_rate_limited=include_rate_limited)
            claimed = await claim(connection, 10, datetime.now(UTC), 60, limits)
        assert {each.endpoint_id for each in claimed} == expected
