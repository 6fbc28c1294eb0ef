"""`account-health scorecard publish` waits until all accounts are scored by it; `reevaluations` shows the progress."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from service.cli import reevaluations
from service.cli.app import app
from service.runtime.settings import Settings
from tests.support.service import eventually, query
from tests.support.sweeping import START, Clock, by_active_days, used

pytestmark = pytest.mark.anyio

ACCOUNTS = 40


@pytest.fixture
async def clock(engine: AsyncEngine, database_settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setenv("HEALTH_DATABASE_URL", database_settings.database_url.get_secret_value())
    monkeypatch.setattr(reevaluations, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(reevaluations, "STALL_SECONDS", 120.0)
    clock = Clock(engine, database_settings.model_copy(update={"sweep_batch": 7}))
    await clock.fold({f"account-{number}": [used(f"account-{number}", START)] for number in range(ACCOUNTS)}, START)
    return clock


@pytest.fixture
def card(tmp_path: Path) -> Path:
    file = tmp_path / "card.json"
    file.write_text(json.dumps(msgspec.to_builtins(by_active_days(10))))
    return file


def run(*words: str) -> Result:
    return CliRunner().invoke(app, words)


def publishing(card: Path, *options: str) -> asyncio.Task[Result]:
    return asyncio.create_task(asyncio.to_thread(run, "scorecard", "publish", str(card), *options))


async def begun(engine: AsyncEngine, count: int = 1) -> None:
    async def is_there() -> bool:
        return len(await query(engine, "SELECT 1 FROM reevaluations")) == count

    await eventually(is_there, "a re-evaluation has begun")


async def test_publishing_waits_for_the_sweeper(clock: Clock, engine: AsyncEngine, card: Path) -> None:
    publication = publishing(card)
    await begun(engine)
    await asyncio.sleep(0.2)
    assert not publication.done()
    await clock.reevaluate(START)
    result = await publication
    assert (result.exit_code, result.stdout.splitlines()) == (
        0,
        ["default version 2 is published.", "All accounts are scored by it: 40."],
    )
    assert result.stderr == ""
    again = await publishing(card)
    assert again.stdout == "default version 2 has this content already.\n"


async def test_it_need_not_wait(clock: Clock, card: Path) -> None:
    result = await publishing(card, "--no-wait")
    assert (result.exit_code, result.stdout) == (0, "default version 2 is published.\n")


async def test_with_no_sweeper_it_says_how_to_start_one_and_goes_on(
    clock: Clock, engine: AsyncEngine, card: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reevaluations, "STALL_SECONDS", 0.5)
    publication = publishing(card)
    await begun(engine)
    await asyncio.sleep(1.5)
    assert not publication.done()
    await clock.reevaluate(START)
    result = await publication
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [reevaluations.NOBODY_WORKS]
    assert "account-health sweep" in result.stderr


async def test_it_follows_a_change_that_takes_over(clock: Clock, engine: AsyncEngine, card: Path) -> None:
    publication = publishing(card)
    await begun(engine)
    await clock.publish(by_active_days(20), START)
    await asyncio.sleep(0.2)
    assert not publication.done()
    await clock.reevaluate(START)
    said = (await publication).stdout.splitlines()
    assert said[1:] == [
        "A change of scorecard default version 3 re-evaluates all accounts from the first on.",
        "All accounts are scored by it: 40.",
    ]


async def test_ctrl_c_leaves_the_work_to_the_sweeper(clock: Clock, engine: AsyncEngine, card: Path) -> None:
    command = [sys.executable, "-m", "service", "scorecard", "publish", str(card)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # As at a terminal, also where these tests run in the background of a shell, whose children ignore it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - takes no lock
    )
    try:
        await begun(engine)
        await asyncio.sleep(1)
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.to_thread(process.communicate, timeout=20)
    finally:
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
    assert process.returncode == 130
    assert out == "default version 2 is published.\n"
    assert err.splitlines() == [reevaluations.LEFT]
    assert await clock.reevaluate(START) == ACCOUNTS


async def test_the_list_shows_how_far_each_is(clock: Clock, engine: AsyncEngine, card: Path) -> None:
    def columns(line: str) -> list[str]:
        return re.split(r"\s{2,}", line.strip())

    async def shown(*words: str) -> list[list[Any]]:
        listed = (await asyncio.to_thread(run, "reevaluations", *words)).stdout
        return [columns(line)[1:] for line in listed.splitlines()[1:]]

    assert await shown() == []
    await clock.publish(by_active_days(10), START)
    await clock.publish(by_active_days(20), START.replace(minute=1))
    await clock.reevaluate(START)
    await clock.publish(by_active_days(30), START.replace(minute=2))
    assert await shown() == [
        ["scorecard default version 4", "0 of 40", "2026-03-02 12:02", "under way"],
        ["scorecard default version 3", "40 of 40", "2026-03-02 12:01", "2026-03-02 12:00"],
        ["scorecard default version 2", "0 of 40", "2026-03-02 12:00", "replaced by a later one"],
    ]
    assert len(await shown("--limit", "1")) == 1
