"""Processes side by side: those that are restarted, those whose failure ends all, and the order of the end."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from psutil import STATUS_ZOMBIE, Process  # type: ignore[import-untyped]

from service.runtime import child_process, supervisor
from service.runtime.child_process import ProcessSpec
from service.runtime.errors import HealthError
from service.runtime.supervisor import StartError, Supervisor, process_specs

pytestmark = pytest.mark.anyio

PROGRAM = """
import os, signal, sys, time
from service.runtime.signals import stop_when_parent_dies
name = os.environ["NAME"]
def end(*_):
    time.sleep(float(os.environ.get("LASTS", "0")))
    print("end", name, flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if sys.argv[1] == "deaf" else end)
stop_when_parent_dies()
print("began", name, flush=True)
if sys.argv[1] == "fail":
    print("it can't be", flush=True)
    sys.exit(1)
while True:
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small programs in the place of the service's, and little patience."""
    monkeypatch.setattr(child_process, "PROGRAM", (sys.executable, "-c", PROGRAM))
    monkeypatch.setattr(supervisor, "FIRST_WAIT", 0.1)
    monkeypatch.setattr(supervisor, "STAGE_SECONDS", 1.0)
    monkeypatch.setattr(supervisor, "BUDGET_SECONDS", 2.0)


def role(name: str, stage: int = 0, command: str = "work", **environment: str) -> ProcessSpec:
    return ProcessSpec(name, command, stage, (("NAME", name), *environment.items()))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def said(logs: Path) -> list[str]:
    return [line for path in logs.glob("*.log") for line in path.read_text().splitlines()]


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_what_dies_is_started_again_and_the_rest_goes_on(tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []
    running = Supervisor(
        [role("one"), role("two")],
        {},
        logs=tmp_path,
        on_restart=lambda role, status, _: told.append((role.name, status)),
    )
    stop = asyncio.Event()
    task = asyncio.create_task(running.run(stop))
    await until(lambda: sorted(said(tmp_path)) == ["began one", "began two"])
    first = dict(running.pids)
    os.kill(first["one"], signal.SIGKILL)
    await until(lambda: said(tmp_path).count("began one") == 2)
    assert told == [("one", -signal.SIGKILL)]
    assert running.pids["two"] == first["two"]
    last = running.pids
    stop.set()
    await task
    assert not any(runs(pid) for pid in last.values())
    assert running.pids == {}


async def test_the_pause_before_a_start_doubles_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LONGEST_WAIT", 0.3)
    waits: list[float] = []
    running = Supervisor([role("one")], {}, logs=tmp_path, on_restart=lambda *told: waits.append(told[2]))
    stop = asyncio.Event()
    task = asyncio.create_task(running.run(stop))
    for count in range(1, 5):
        await until(lambda count=count: said(tmp_path).count("began one") == count)  # type: ignore[misc]
        await until(lambda: "one" in running.pids)  # it may have begun before that is known here
        os.kill(running.pids["one"], signal.SIGKILL)
    await until(lambda: len(waits) == 4)
    stop.set()
    await task
    assert waits == [0.1, 0.2, 0.3, 0.3]


async def test_stages_are_ended_one_after_the_other(tmp_path: Path) -> None:
    running = Supervisor([role("last", 2), role("first", 0, LASTS="0.3"), role("middle", 1)], {}, logs=tmp_path)
    stop = asyncio.Event()
    task = asyncio.create_task(running.run(stop))
    await until(lambda: len(said(tmp_path)) == 3)
    stop.set()
    await task
    ended = [(tmp_path / f"{name}.log").stat().st_mtime_ns for name in ("first", "middle", "last")]
    assert ended == sorted(ended)


async def test_who_does_not_listen_is_killed_when_the_time_is_up(tmp_path: Path) -> None:
    running = Supervisor([role("deaf", 0, "deaf"), role("good", 1)], {}, logs=tmp_path)
    stop = asyncio.Event()
    task = asyncio.create_task(running.run(stop))
    await until(lambda: len(said(tmp_path)) == 2)
    pids = running.pids
    stop.set()
    began = time.monotonic()
    await task
    assert 2.0 <= time.monotonic() - began < 4.0
    assert "end good" in said(tmp_path)
    assert not runs(pids["deaf"])


async def test_one_that_refuses_is_tried_again_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "LONGEST_WAIT", 0.2)
    waits: list[float] = []
    running = Supervisor(
        [role("good"), role("bad", 1, "fail")], {}, logs=tmp_path, on_restart=lambda *told: waits.append(told[2])
    )
    stop = asyncio.Event()
    task = asyncio.create_task(running.run(stop))
    await until(lambda: len(waits) >= 3)
    assert waits[:3] == [0.1, 0.2, 0.2]
    assert said(tmp_path).count("began good") == 1
    assert "good" in running.pids
    stop.set()
    await task
    assert running.pids == {}


async def test_all_are_ended_where_the_essential_one_refuses(tmp_path: Path) -> None:
    essential = replace(role("bad", 1, "fail"), is_essential=True)
    running = Supervisor([role("good"), essential], {}, logs=tmp_path)
    with pytest.raises(StartError, match=r"bad can't be started \(exit status 1\)") as raised:
        await running.run(asyncio.Event())
    assert raised.value.log == tmp_path / "bad.log"
    assert "it can't be" in said(tmp_path)
    assert running.pids == {}


async def test_it_ends_where_every_one_refuses(tmp_path: Path) -> None:
    running = Supervisor([role("one", 0, "fail"), role("two", 1, "fail")], {}, logs=tmp_path)
    with pytest.raises(StartError):
        await running.run(asyncio.Event())
    assert {"began one", "began two"} <= set(said(tmp_path))
    assert running.pids == {}


async def test_cancelling_ends_all_even_while_they_start(tmp_path: Path) -> None:
    running = Supervisor([role("one"), role("two")], {}, logs=tmp_path)
    task = asyncio.create_task(running.run(asyncio.Event()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert running.pids == {}


async def test_a_killed_supervisor_takes_its_processes_along(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path; from service.runtime import child_process; "
        "from service.runtime.supervisor import Supervisor; from service.runtime.child_process import ProcessSpec; "
        "child_process.PROGRAM = (sys.executable, '-c', sys.argv[1]); "
        "roles = [ProcessSpec(name, name, 0, (('NAME', name),)) for name in ('deaf', 'good')]; "
        "child_process.PATIENCE_SECONDS = 1; "
        "asyncio.run(Supervisor(roles, {}, logs=Path(sys.argv[2])).run(asyncio.Event()))"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, PROGRAM, str(tmp_path))
    await until(lambda: len(said(tmp_path)) == 2)
    workers = [child for child in Process(process.pid).children() if PROGRAM in child.cmdline()]
    assert len(workers) == 2
    process.kill()
    await process.wait()
    await until(lambda: "end good" in said(tmp_path))
    await until(lambda: not any(child.is_running() and child.status() != STATUS_ZOMBIE for child in workers))


def test_consumers_have_names_of_their_own() -> None:
    roles = process_specs(2)
    assert [role.name for role in roles] == ["api", "consume-1", "consume-2", "sweep", "deliver"]
    assert len({role.stage for role in roles}) == 3
    assert [role.name for role in roles if role.is_essential] == ["api"]
    assert {dict(role.environment).get("HEALTH_KAFKA_INSTANCE_ID") for role in roles} == {None}
    alone = {dict(role.environment).get("HEALTH_KAFKA_INSTANCE_ID") for role in process_specs(2, alone=True)}
    assert alone == {None, "consume-1", "consume-2"}


def test_each_process_gets_a_port_for_its_probes() -> None:
    def ports(**options: int) -> dict[str, str | None]:
        roles = process_specs(2, **options)  # type: ignore[arg-type] # mypy takes `alone` for one of the options
        return {role.name: dict(role.environment).get("HEALTH_PROBES_PORT") for role in roles}

    given = {"consume-1": "9100", "consume-2": "9101", "sweep": "9102", "deliver": "9103", "api": "9104"}
    assert ports(probes_port=9100) == given
    assert ports() == dict.fromkeys(given, "0")  # not all of them the one of our own environment
    assert ports(probes_port=65_531)["api"] == "65535"
    with pytest.raises(HealthError, match=r"HEALTH_PROBES_PORT 65532 leaves room for fewer than 5 ports"):
        ports(probes_port=65_532)
