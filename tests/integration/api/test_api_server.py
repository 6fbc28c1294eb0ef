"""The serving process: its port, its end, and that signals stay its caller's."""

import asyncio
import gc
import signal
import socket
from typing import Any

import aiohttp
import pytest
from fastapi import FastAPI

from service.api.server import listen, run, serve
from service.embedded.ports import free_port
from service.runtime.errors import HealthError
from service.runtime.settings import Settings
from tests.support.service import settings_for

pytestmark = pytest.mark.anyio


def at(host: str, port: int) -> Settings:
    return settings_for("postgresql://unused", "127.0.0.1:1", "", http_host=host, http_port=port)


async def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(HealthError, match=r"HEALTH_HTTP_PORT \d+ is in use") as caught:
            await serve(at("127.0.0.1", taken.getsockname()[1]), asyncio.Event())
        assert caught.value.remedy


@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_a_host_that_isn_t_ours_is_named(host: str) -> None:
    with pytest.raises(HealthError, match=f"HEALTH_HTTP_HOST {host}"):
        listen(at(host, 0))


def test_ipv6_too() -> None:
    with listen(at("::1", 0)) as listening:
        assert listening.family == socket.AF_INET6


async def test_it_serves_until_it_is_asked_to_stop_and_leaves_signals_alone(database_url: str) -> None:
    port = free_port()
    settings = settings_for(database_url, "127.0.0.1:1", "", http_port=port)
    before = signal.getsignal(signal.SIGTERM)
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(settings, stop))
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        for _ in range(100):
            try:
                async with session.get("/livez") as response:
                    assert response.status == 200
                    break
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.02)
        assert signal.getsignal(signal.SIGTERM) is before
        stop.set()
        await asyncio.wait_for(serving, 5)
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get("/livez")


async def test_a_collection_of_garbage_passes_over_the_application(database_url: str) -> None:
    port = free_port()
    stop = asyncio.Event()
    before = gc.get_freeze_count()
    serving = asyncio.create_task(serve(settings_for(database_url, "127.0.0.1:1", "", http_port=port), stop))
    try:
        async with asyncio.timeout(5):
            while gc.get_freeze_count() < 50_000:
                await asyncio.sleep(0.01)
    finally:
        stop.set()
        await asyncio.wait_for(serving, 5)
    assert gc.get_freeze_count() == before


async def test_requests_under_way_are_answered_before_it_ends() -> None:
    app = FastAPI()
    begun = asyncio.Event()

    async def slow() -> str:
        begun.set()
        await asyncio.sleep(0.3)
        return "done"

    app.add_api_route("/slow", slow)
    listening = listen(at("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    stop = asyncio.Event()
    serving = asyncio.create_task(run(app, listening, stop))

    async def ask() -> Any:
        async with aiohttp.ClientSession(url) as session, session.get("/slow") as response:
            return await response.json()

    asking = asyncio.create_task(ask())
    await begun.wait()
    stop.set()
    assert await asking == "done"
    await serving
