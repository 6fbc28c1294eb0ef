"""Delivery when something is cut short: a worker, a receiver, the database."""

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from structlog.testing import capture_logs

from service.delivery.retry import RetryPolicy
from service.delivery.worker import run
from service.storage.database.engine import async_url
from service.storage.database.tables import deliveries as deliveries_table
from service.storage.webhooks import outbox
from service.storage.webhooks.outbox import ClaimedDelivery, SendingLimits
from tests.support.cut_line import cut_line
from tests.support.webhooks import (
    KEY,
    add_alert,
    add_endpoint,
    local_settings,
    receiver,
    states,
    until,
    working,
)

pytestmark = pytest.mark.anyio


async def claim(engine: AsyncEngine, lease_seconds: float = 60) -> list[ClaimedDelivery]:
    async with engine.begin() as conn:
        return await outbox.claim(conn, 100, datetime.now(UTC), lease_seconds, SendingLimits(room={}, default_room=100))


async def test_a_lease_that_lapsed_is_taken_over_and_one_that_holds_is_not(engine: AsyncEngine) -> None:
    async with receiver() as crm:
        await add_endpoint(engine, crm.url)
        await add_alert(engine, "acme")
        [left_behind] = await claim(engine, lease_seconds=0.6)
        async with working(engine, local_settings()) as outcomes:
            await asyncio.sleep(0.2)
            assert not crm.ids
            await until(lambda: outcomes)
            assert datetime.now(UTC) >= left_behind.leased_until
    assert await states(engine) == ["succeeded"]


async def test_a_worker_killed_while_sending_is_made_good_with_the_same_id(
    engine: AsyncEngine, database_url: str
) -> None:
    never = asyncio.Event()

    async def hang_first(_: web.Request) -> web.StreamResponse:
        if len(crm.ids) == 1:
            await never.wait()
        return web.Response()

    program = (
        "import asyncio; from service.delivery.worker import run; from service.runtime.settings import load_settings\n"
        "from service.storage.database.engine import create_engine\n"
        "async def main():\n"
        "    settings = load_settings()\n"
        "    await run(create_engine(settings, 'deliver'), settings, asyncio.Event(), lease_seconds=1)\n"
        "asyncio.run(main())"
    )
    environment = {
        **os.environ,
        "HEALTH_DATABASE_URL": database_url,
        "HEALTH_ENCRYPTION_KEY": KEY,
        "HEALTH_WEBHOOK_ALLOW_NETWORKS": "127.0.0.1/32",
        "HEALTH_WEBHOOK_ALLOW_HTTP": "true",
    }
    async with receiver(hang_first) as crm:
        await add_endpoint(engine, crm.url)
        alert_id = await add_alert(engine, "acme")
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, env=environment)
        await until(lambda: crm.ids, seconds=30)
        process.send_signal(signal.SIGKILL)
        await process.wait()
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: outcomes)
        assert crm.ids == [str(alert_id)] * 2
        assert crm.messages()
    assert await states(engine) == ["succeeded"]


async def test_a_receiver_that_hangs_does_not_delay_another(engine: AsyncEngine) -> None:
    released = asyncio.Event()
    ended: list[web.Request] = []

    async def hang(request: web.Request) -> web.StreamResponse:
        await released.wait()
        ended.append(request)
        return web.Response()

    async with receiver(hang) as stuck, receiver() as well:
        await add_endpoint(engine, stuck.url)
        await add_endpoint(engine, well.url)
        for n in range(30):
            await add_alert(engine, f"account-{n}")
        settings = local_settings(webhook_concurrency=4, webhook_timeout_seconds=60)
        async with working(engine, settings, policy=RetryPolicy((timedelta(hours=1),))):
            try:
                await until(lambda: len(well.ids) == 30)
                assert (len(stuck.ids), ended) == (1, []), "all others arrived while the first attempt hung"
            finally:
                released.set()


async def test_stopping_lets_an_attempt_end_and_begins_no_other(engine: AsyncEngine) -> None:
    async def slow(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.3)
        return web.Response()

    async with receiver(slow) as crm:
        await add_endpoint(engine, crm.url)
        for n in range(2):
            await add_alert(engine, f"account-{n}")
        async with working(engine, local_settings()):
            await until(lambda: crm.ids)
    assert len(crm.ids) == 1
    assert await states(engine) == ["pending", "succeeded"]
    async with engine.connect() as conn:
        assert (await conn.execute(select(deliveries_table.c.lease))).scalars().all() == [None, None]


async def test_cutting_a_worker_short_releases_its_leases(engine: AsyncEngine) -> None:
    async def hang(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(60)
        return web.Response()

    async with receiver(hang) as crm:
        await add_endpoint(engine, crm.url)
        await add_alert(engine, "acme")
        task = asyncio.create_task(run(engine, local_settings(), asyncio.Event()))
        await until(lambda: crm.ids)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(await claim(engine)) == 1


async def test_a_database_outage_is_waited_out_and_sends_nothing_twice(engine: AsyncEngine, database_url: str) -> None:
    answer_now = asyncio.Event()

    async def hold(_: web.Request) -> web.StreamResponse:
        await answer_now.wait()
        return web.Response()

    async with receiver(hold) as crm, cut_line(async_url(database_url)) as line:
        await add_endpoint(engine, crm.url)
        await add_alert(engine, "acme")
        behind = create_async_engine(line.url)
        with capture_logs() as logs:
            async with working(behind, local_settings()) as outcomes:
                await until(lambda: crm.ids)
                line.cut()
                answer_now.set()
                expected = {"deliveries_not_claimed", "delivery_not_recorded"}
                await until(lambda: expected <= {entry["event"] for entry in logs})
                line.mend()
                await until(lambda: outcomes)
                assert outcomes[0].recorded
        assert len(crm.ids) == 1
        await behind.dispose()
    assert await states(engine) == ["succeeded"]
