"""Probes of the processes without an API, asked over HTTP while they run."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.sweep import runner
from service.delivery import worker
from service.embedded.ports import free_port
from service.observability.probes import Pulse, serve_probes
from service.runtime.errors import HealthError
from service.runtime.settings import Settings
from tests.support.commands import environment, service_up
from tests.support.cut_line import CutLine, cut_line
from tests.support.service import eventually

pytestmark = pytest.mark.anyio

Main = Callable[[Settings, asyncio.Event], Awaitable[None]]


@pytest.fixture
def probed(database_settings: Settings) -> Settings:
    return database_settings.model_copy(update={"probes_port": free_port(), "dead_letter_topics": True})


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@asynccontextmanager
async def process(main: Main, settings: Settings) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.ensure_future(main(settings, stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


@asynccontextmanager
async def line_to(settings: Settings) -> AsyncIterator[tuple[CutLine, Settings]]:
    """The settings with a database that can be cut off."""
    async with cut_line(make_url(settings.database_url.get_secret_value())) as line:
        url = SecretStr(line.url.render_as_string(hide_password=False))
        yield line, settings.model_copy(update={"database_url": url})


class Asker:
    def __init__(self, session: aiohttp.ClientSession, settings: Settings) -> None:
        self._session = session
        self._url = f"http://127.0.0.1:{settings.probes_port}"

    async def __call__(self, path: str) -> tuple[int, Any]:
        async with self._session.get(self._url + path) as answer:
            return answer.status, await answer.json(content_type=None)

    async def becomes(self, status: int) -> Any:
        async def found() -> bool:
            try:
                return (await self("/readyz"))[0] == status
            except aiohttp.ClientConnectionError:
                return False

        await eventually(found, f"/readyz answers {status}")
        return (await self("/readyz"))[1]


async def test_the_sweeper_says_what_it_is_waiting_for(probed: Settings, session: aiohttp.ClientSession) -> None:
    ask = Asker(session, probed)
    async with line_to(probed) as (line, cuttable), process(runner.run, cuttable):
        checks = dict.fromkeys(("sweep", "relay", "forecast"), "ok")
        assert await ask.becomes(200) == {"status": "ready", "checks": checks}
        line.cut()
        problem = await ask.becomes(503)
        while "sweep" not in problem["detail"]:  # another loop of the process may have come upon it first
            await asyncio.sleep(0.05)
            problem = await ask.becomes(503)
        assert problem["status"] == 503
        assert problem["title"] == "Service Unavailable"
        assert "sweep: Postgres can't be reached" in problem["detail"]
        assert problem["checks"]["sweep"] == "Postgres can't be reached"
        assert await ask("/livez") == (200, {"status": "alive", "checks": checks})
        line.mend()
        await ask.becomes(200)


async def test_the_delivery_too(probed: Settings, session: aiohttp.ClientSession) -> None:
    ask = Asker(session, probed)
    async with line_to(probed) as (line, cuttable), process(worker.serve, cuttable):
        assert await ask.becomes(200) == {"status": "ready", "checks": {"deliver": "ok"}}
        line.cut()
        assert (await ask.becomes(503))["checks"] == {"deliver": "Postgres can't be reached"}
        assert (await ask("/livez"))[0] == 200


async def test_a_stuck_loop_is_not_alive(
    probed: Settings, session: aiohttp.ClientSession, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction elsewhere that never ends holds the sweeper up: the statement waits, and no error comes of it."""
    ask = Asker(session, probed)
    impatient = probed.model_copy(update={"watchdog_seconds": 3.0})
    async with process(runner.run, impatient), engine.connect() as holder:
        await ask.becomes(200)
        await holder.exec_driver_sql("LOCK TABLE scores")
        problem = await ask.becomes(503)
        assert "sweep: it has been silent for" in problem["detail"]
        status, lost = await ask("/livez")
        assert (status, lost["checks"]["relay"]) == (503, "ok")
        await holder.rollback()
        await ask.becomes(200)


async def test_metrics_can_be_read(probed: Settings, session: aiohttp.ClientSession) -> None:
    async with process(runner.run, probed):
        await Asker(session, probed).becomes(200)
        async with session.get(f"http://127.0.0.1:{probed.probes_port}/metrics") as answer:
            assert answer.headers["Content-Type"].startswith("text/plain; version=")
            families = {family.name for family in text_string_to_metric_families(await answer.text())}
        async with session.get(
            f"http://127.0.0.1:{probed.probes_port}/metrics", headers={"Accept": "application/openmetrics-text"}
        ) as answer:
            assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        async with session.get(f"http://127.0.0.1:{probed.probes_port}/") as answer:
            assert answer.status == 404
    assert {"health_swept_accounts", "health_sweep_backlog_accounts", "process_cpu_seconds"} <= families


async def test_without_a_port_nothing_is_served(database_settings: Settings) -> None:
    async with serve_probes(database_settings, Pulse("a", 1)) as port:
        assert port == 0


async def test_the_port_is_free_again_afterwards(probed: Settings) -> None:
    for _ in range(3):
        async with serve_probes(probed, Pulse("a", 1)) as port:
            assert port == probed.probes_port


async def test_a_host_of_another_machine(probed: Settings) -> None:
    with pytest.raises(HealthError, match=r"HEALTH_PROBES_HOST 192\.0\.2\.1 can't be used"):
        async with serve_probes(probed.model_copy(update={"probes_host": "192.0.2.1"}), Pulse("a", 1)):
            pass


async def test_a_port_in_use_is_reported_in_one_line(probed: Settings) -> None:
    env = environment(probed, HEALTH_PROBES_PORT=str(probed.probes_port))
    with socket.create_server(("127.0.0.1", probed.probes_port)):
        ended = subprocess.run(
            [sys.executable, "-m", "service", "sweep"], env=env, capture_output=True, text=True, timeout=60, check=False
        )
    assert ended.returncode == 1
    assert f"account-health: HEALTH_PROBES_PORT {probed.probes_port} is in use on 127.0.0.1. Give each" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_up_gives_its_processes_ports_in_a_row(
    settings: Settings, session: aiohttp.ClientSession, tmp_path: Path
) -> None:
    first = free_port()
    env = environment(settings, HEALTH_PROBES_PORT=str(first))
    async with service_up(env, tmp_path / "log", "--consumers", "2"):
        for place, names in ((2, ("sweep", "forecast")), (3, ("deliver",))):
            ask = Asker(session, settings.model_copy(update={"probes_port": first + place}))
            assert (await ask.becomes(200))["checks"] == dict.fromkeys(names, "ok")
    assert "Traceback" not in (tmp_path / "log").read_text()
