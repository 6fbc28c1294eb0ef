"""Loads with history in tests: by the command, and step by step without Kafka."""

import asyncio
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from scoring.state.calendar import day_of, to_micros
from scoring.state.events import Event
from service.jobs.history.load_history import HistoryPlan, plan_history, replay_plan, write_plan
from service.jobs.history.writer import Written
from service.jobs.load.files import LoadRequest
from service.jobs.load.load import Loaded
from service.runtime.settings import Settings
from tests.support.commands import command, environment
from tests.support.event_logs import log_of, write_log
from tests.support.sweeping import Clock
from tests.support.twin import decoded

DAYS = 60
"""The length of a log: it ends yesterday."""


def log_up_to(today: date, accounts: Iterable[str], seed: int = 3) -> list[dict[str, Any]]:
    """A log of all signals, of the days before today."""
    return log_of(accounts, seed, datetime.combine(today - timedelta(days=DAYS), time(8), UTC))


@dataclass
class Loader:
    """Loads logs into a service, by the command."""

    settings: Settings
    folder: Path

    def words(self, *words: str | Path) -> list[str]:
        """The command's words."""
        return ["load", "--state-dir", str(self.folder / "state"), *map(str, words)]

    async def load(self, *words: str | Path) -> str:
        """Load, and return the output. Raises `CalledProcessError`."""
        env = environment(self.settings)
        done = await asyncio.to_thread(command, *self.words(*words), env=env, seconds=120)
        return done.stdout + done.stderr

    @contextmanager
    def loading(self, *words: str | Path) -> Iterator["subprocess.Popen[bytes]"]:
        """The command while the block runs; it is killed at the end, if it still runs."""
        program = [sys.executable, "-m", "service", *self.words(*words)]
        with subprocess.Popen(program, env=environment(self.settings), stdout=subprocess.DEVNULL) as process:
            try:
                yield process
            finally:
                process.kill()


class Past:
    """A log whose events are folded as consumers fold a load, and whose past is written step by step."""

    def __init__(self, clock: Clock, folder: Path, events: list[dict[str, Any]]) -> None:
        self.clock = clock
        self.events = events
        self._folder = folder
        self._file = write_log(folder / f"log-{len(list(folder.glob('log-*')))}.ndjson", events)

    async def fold(self, now: datetime | None = None) -> None:
        """Fold the log at once, as loaded history."""
        now = now or datetime.now(UTC)
        taken: defaultdict[str, list[Event]] = defaultdict(list)
        for event in decoded(self.events):
            taken[event.account_id].append(replace(event, broker_day=day_of(to_micros(now))))
        await self.clock.fold(taken, now, backfill=taken.keys())

    async def plan(self) -> HistoryPlan:
        """The plan for accounts that have no past."""
        order = LoadRequest([self._file], None, None, self._folder / "state")
        loaded = Loaded({self._file: 0}, {})
        return await plan_history(order, loaded, self.clock.settings, asyncio.Event(), rewrite=False)

    async def write(self, plan: HistoryPlan | None = None) -> Written:
        """Replay and write."""
        plan = plan or await self.plan()
        files = await asyncio.to_thread(replay_plan, plan)
        return await write_plan(plan, files, self.clock.settings, asyncio.Event())
