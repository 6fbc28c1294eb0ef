"""`account-health up` as an operator runs it: all processes together, and none left over."""

import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from psutil import STATUS_ZOMBIE, NoSuchProcess, Process  # type: ignore[import-untyped]

from service.embedded.ports import free_port
from service.runtime.settings import Settings
from tests.support.commands import call, environment, service_up
from tests.support.service import eventually

pytestmark = pytest.mark.anyio

COMMANDS = ["api", "consume", "deliver", "sweep"]


def workers(of: Process) -> dict[str, Process]:
    """The service's processes that `of` started, by their command."""
    commands = {each: words_of(each) for each in of.children()}
    return {words[-1]: each for each, words in commands.items() if words[-2:-1] == ["service"]}


def words_of(process: Process) -> list[str]:
    """The process's command line; empty if it has just died."""
    try:
        return list(process.cmdline())
    except NoSuchProcess:
        return []


def the_one_up() -> Process:
    """The `account-health up` that this test started."""
    [found] = [each for each in Process().children() if "up" in each.cmdline()]
    return found


def runs(process: Process) -> bool:
    """True while it runs; false for a zombie that waits to be reaped."""
    try:
        return bool(process.is_running() and process.status() != STATUS_ZOMBIE)
    except NoSuchProcess:
        return False


async def test_it_runs_all_restarts_what_dies_and_leaves_nothing(settings: Settings, tmp_path: Path) -> None:
    async with service_up(environment(settings), tmp_path / "log"):
        up = the_one_up()
        before = workers(up)
        assert sorted(before) == COMMANDS
        before["sweep"].kill()

        async def is_back() -> bool:
            now = workers(up)
            return sorted(now) == COMMANDS and now["sweep"].pid != before["sweep"].pid

        await eventually(is_back, "the sweeper is started again")
        family = up.children(recursive=True)
    assert not any(runs(each) for each in family)
    log = (tmp_path / "log").read_text()
    assert "process_died" in log
    assert "Traceback" not in log


async def test_a_port_in_use_is_said_once_and_ends_it(settings: Settings) -> None:
    env = environment(settings)
    with socket.create_server(("127.0.0.1", int(env["HEALTH_HTTP_PORT"]))):
        ended = subprocess.run(
            [sys.executable, "-m", "service", "up"], env=env, capture_output=True, text=True, timeout=60, check=False
        )
    assert ended.returncode == 1
    assert ended.stderr.count(f"HEALTH_HTTP_PORT {env['HEALTH_HTTP_PORT']} is in use") == 1
    assert "The process api can't be started" in ended.stderr
    assert "Traceback" not in ended.stderr


async def test_one_process_that_refuses_takes_nobody_along(settings: Settings, tmp_path: Path) -> None:
    first = free_port()
    env = environment(settings, HEALTH_PROBES_PORT=str(first))
    with socket.create_server(("127.0.0.1", first)):  # where consume-1 wants to listen
        async with service_up(env, tmp_path / "log") as url:

            async def is_tried_again() -> bool:
                return (tmp_path / "log").read_text().count("process_refuses") >= 2

            await eventually(is_tried_again, "the consumer is tried again")
            assert (await call(f"{url}/readyz", ""))["status"] == "ready"
            assert {"api", "sweep", "deliver"} <= workers(the_one_up()).keys()


async def test_killed_it_takes_its_processes_along(settings: Settings, tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "up"], env=environment(settings), stdout=log, stderr=log
        )
    up = Process(process.pid)

    async def all_there() -> bool:
        return sorted(workers(up)) == COMMANDS

    await eventually(all_there, "the processes run")
    family = list(workers(up).values())
    process.kill()
    process.wait()

    async def all_gone() -> bool:
        return not any(runs(each) for each in family)

    await eventually(all_gone, "the processes are gone", 45)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the account Postgres runs as can be let into."""
    with tempfile.TemporaryDirectory(prefix="account-health-up-") as path:
        yield Path(path)


@pytest.fixture
async def embedded(folder: Path) -> AsyncIterator[tuple[str, str]]:
    """`up --embedded` with nothing set but a port; gives the API's URL and the output so far."""
    names = {"HEALTH_DATABASE_URL", "HEALTH_KAFKA_BOOTSTRAP_SERVERS", "HEALTH_ENCRYPTION_KEY"}
    env = {name: value for name, value in os.environ.items() if name not in names}
    env["HEALTH_HTTP_PORT"] = str(free_port())
    log = folder / "log"
    async with service_up(env, log, "--embedded", "--data-dir", str(folder / "data")) as url:

        async def told() -> bool:
            return "To make an API key" in log.read_text()

        await eventually(told, "the way to an API key is told")
        yield url, log.read_text()


async def test_embedded_it_needs_nothing_and_shows_how_to_create_a_key(embedded: tuple[str, str], folder: Path) -> None:
    url, said = embedded
    assert f"{url}/docs" in said
    told = re.search(r"To make an API key: \. (\S+); account-health api-key create NAME", said)
    assert told
    words = f". {told[1]}; exec {sys.executable} -m service api-key create test --scope admin"
    key = subprocess.run(["sh", "-c", words], check=True, capture_output=True, text=True).stdout
    assert re.fullmatch(r"hk_\S+\n", key)
    assert (await call(f"{url}/v1/accounts", key.strip()))["items"] == []
    for secret in ("encryption-key", "environment"):
        assert (folder / "data" / secret).stat().st_mode & 0o077 == 0
    assert "postgresql://" not in said
