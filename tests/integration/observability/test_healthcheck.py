"""`python -m service.healthcheck`, beside processes that are alive, stuck, or not there."""

import asyncio
import subprocess
import sys
from collections.abc import Callable

import pytest

from service.api.server import serve
from service.embedded.ports import free_port
from service.healthcheck import why_not_alive
from service.observability.probes import Pulse, serve_probes
from service.runtime.settings import Settings
from tests.support.service import eventually

pytestmark = pytest.mark.anyio


@pytest.fixture
def probed() -> Settings:
    return Settings(_env_file=None, probes_port=free_port())


async def complaint(settings: Settings) -> str | None:
    return await asyncio.to_thread(why_not_alive, settings)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::", "::1"])
async def test_a_process_that_answers_is_alive_wherever_it_listens(probed: Settings, host: str) -> None:
    settings = probed.model_copy(update={"probes_host": host})
    async with serve_probes(settings, Pulse("fold", 60)):
        assert await complaint(settings) is None
    assert str(await complaint(settings)).startswith("no answer from")


async def test_a_stuck_loop_is_named(probed: Settings) -> None:
    now = 0.0
    clock: Callable[[], float] = lambda: now  # noqa: E731 - a def would say no more
    async with serve_probes(probed, Pulse("fold", 60, clock)):
        now = 61.0
        assert await complaint(probed) == "fold: it has been silent for 61 seconds"


async def test_the_api_answers_on_the_port_for_probes_too(database_settings: Settings) -> None:
    settings = database_settings.model_copy(update={"probes_port": free_port(), "http_port": free_port()})
    stop = asyncio.Event()
    api = asyncio.create_task(serve(settings, stop))

    async def alive() -> bool:
        return await complaint(settings) is None

    try:
        await eventually(alive, "the API is alive")
    finally:
        stop.set()
        await api


async def test_as_engines_run_it() -> None:
    command = [sys.executable, "-m", "service.healthcheck"]

    def said(**variables: str) -> tuple[int, str]:
        end = subprocess.run(command, env=variables, capture_output=True, text=True, timeout=30, check=False)
        assert not end.stderr
        return end.returncode, end.stdout

    assert said() == (1, "not alive: there is no port to ask: set HEALTH_PROBES_PORT\n")
    port = str(free_port())
    status, text = said(HEALTH_PROBES_PORT=port)
    assert (status, text.startswith(f"not alive: no answer from 127.0.0.1:{port}: ")) == (1, True)
    status, text = said(HEALTH_PROBES_PORT="high")
    assert (status, text.startswith("not alive: HEALTH_PROBES_PORT can't be used")) == (1, True)
