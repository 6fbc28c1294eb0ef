"""Receivers that accept only so much: all delivery processes respect their limits, which cost no attempts."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from service.delivery.retry import GaveUp, RetryAt, RetryPolicy
from service.storage.database.tables import deliveries, webhook_endpoints
from service.storage.webhooks import delivery_log, endpoints, resend
from service.storage.webhooks.endpoints import EndpointChanges
from tests.support.webhooks import Answer, add_alert, add_endpoint, local_settings, receiver, states, until, working

pytestmark = pytest.mark.anyio
FEW = RetryPolicy((timedelta(hours=1),))


def taking(rate: float, taken: list[str], status: int = 429, headers: Mapping[str, str] | None = None) -> Answer:
    """A receiver that takes a message every so often, and to the others says `status` with these headers."""
    free_at = 0.0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal free_at
        now = time.monotonic()
        if now < free_at:
            return web.Response(status=status, headers=headers)
        free_at = now + 1 / rate
        taken.append(request.headers["webhook-id"])
        return web.Response()

    return answer


async def test_all_messages_arrive_at_the_pace_of_the_receiver_and_none_is_given_up(engine: AsyncEngine) -> None:
    taken: list[str] = []
    async with receiver(taking(1.0, taken, headers={"Retry-After": "1"})) as crm:
        await add_endpoint(engine, crm.url)
        for n in range(10):
            await add_alert(engine, f"account-{n}")
        began = time.monotonic()
        async with working(engine, local_settings(), policy=FEW), working(engine, local_settings(), policy=FEW):
            await until(lambda: len(taken) == 10, seconds=25)
        assert 9 <= time.monotonic() - began < 20
        assert len(crm.ids) < 60
    assert max(Counter(taken).values()) == 1
    assert await states(engine) == ["succeeded"] * 10
    async with engine.connect() as conn:
        assert set((await conn.execute(select(deliveries.c.tries))).scalars()) == {1}


@pytest.mark.parametrize(
    ("status", "header", "ahead"),
    [(429, "Retry-After", 60), (429, "X-RateLimit-Reset", 120), (503, "Retry-After", 60)],
)
async def test_one_that_asks_for_time_pauses_everything_to_it_for_all(
    engine: AsyncEngine, status: int, header: str, ahead: int
) -> None:
    since = int(time.time()) if header == "X-RateLimit-Reset" else 0
    headers = {header: str(since + ahead)}

    async def full(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers=headers)

    async with receiver(full) as crm, receiver() as other:
        endpoint = await add_endpoint(engine, crm.url)
        await add_endpoint(engine, other.url)
        await add_alert(engine, "first")
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: len(outcomes) == 2)
        for n in range(5):
            await add_alert(engine, f"account-{n}")
        async with working(engine, local_settings()) as later:
            await until(lambda: len(later) == 5)
            await asyncio.sleep(0.3)
        assert len(crm.ids) == 1
        assert len(other.ids) == 6
    async with engine.connect() as conn:
        paused = await endpoints.get(conn, endpoint)
        [*_, first] = await delivery_log.page(conn, endpoint, before=None, limit=10)
        tries = (await conn.execute(select(deliveries.c.tries).where(deliveries.c.endpoint_id == endpoint))).scalars()
        assert set(tries) == {0}
    assert paused is not None
    assert paused.paused_until is not None
    assert timedelta(seconds=50) < paused.paused_until - datetime.now(UTC) < timedelta(seconds=125)
    assert paused.failing_since is None
    assert (first.state, first.attempts) == ("pending", 1)


async def test_a_503_that_does_not_say_until_when_is_a_failure_like_any_other(engine: AsyncEngine) -> None:
    async with receiver(taking(1e-9, [], 503)) as crm:
        endpoint = await add_endpoint(engine, crm.url)
        await add_alert(engine, "first")
        await add_alert(engine, "acme")
        async with working(engine, local_settings(), policy=FEW) as outcomes:
            await until(lambda: len(outcomes) == 2)
    async with engine.connect() as conn:
        found = await endpoints.get(conn, endpoint)
        assert set((await conn.execute(select(deliveries.c.tries))).scalars()) == {1}
    assert found is not None
    assert found.paused_until is None


async def test_enabling_an_endpoint_or_moving_it_ends_its_pause(engine: AsyncEngine) -> None:
    endpoint = await add_endpoint(engine, "https://crm.example")
    changes: tuple[EndpointChanges, ...] = ({"enabled": True}, {"url": "https://elsewhere.example"})
    for change in changes:
        async with engine.begin() as conn:
            await conn.execute(update(webhook_endpoints).values(paused_until=datetime.now(UTC) + timedelta(hours=1)))
            changed = await endpoints.change(conn, endpoint, change, datetime.now(UTC))
        assert changed is not None
        assert changed.paused_until is None


async def test_a_message_is_put_off_for_its_lifetime_and_then_tried_as_often_as_any(engine: AsyncEngine) -> None:
    policy = RetryPolicy((timedelta(seconds=0.05),), jitter=0.0, lifetime=timedelta(seconds=1.5))
    async with receiver(taking(1e-9, [], 429, {"Retry-After": "1"})) as crm:
        await add_endpoint(engine, crm.url)
        await add_alert(engine, "taken")
        async with working(engine, local_settings(), policy=policy) as outcomes:
            await until(lambda: outcomes)
            await add_alert(engine, "acme")
            await until(lambda: any(isinstance(each.outcome, GaveUp) for each in outcomes), seconds=15)
    assert outcomes[-1].label == "gave_up"
    assert [each.limited for each in outcomes].count(True) >= 2
    assert sorted(await states(engine)) == ["failed", "succeeded"]


async def test_a_message_that_is_sent_again_has_a_new_lifetime(engine: AsyncEngine) -> None:
    async with receiver(taking(1e-9, [], 429, {"Retry-After": "60"})) as crm:
        await add_endpoint(engine, crm.url)
        for account in ("taken", "acme"):
            await add_alert(engine, account)
        old = datetime.now(UTC) - timedelta(days=30)
        async with engine.begin() as conn:
            rows = update(deliveries).values(created_at=old, state="failed").returning(deliveries.c.id)
            for delivery in (await conn.execute(rows)).scalars().all():
                assert await resend.resend(conn, delivery, datetime.now(UTC))
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: len(outcomes) == 2)
    [limited] = [each.outcome for each in outcomes if isinstance(each.outcome, RetryAt)]
    assert limited.paused_until is not None
