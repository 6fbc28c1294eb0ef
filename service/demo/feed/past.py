"""The scores of the days before the demo, replayed by processes of their own while consumers fold the same events."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

import msgspec
from msgspec.structs import replace

from scoring.rules.policy import Policy
from scoring.state.calendar import to_day
from service.demo.feed.replaying import CustomerLife, Pasts, ReplayJob
from service.demo.start import RunningService
from service.demo.startup_screen import Tell
from service.demo.world.events import DemoEvent
from service.evaluation.policy import load_policy
from service.jobs.backtest.policy_codec import encode_policy
from service.jobs.history.account_past import Wanted
from service.jobs.history.writer import HistoryWriter
from service.runtime.errors import HealthError
from service.runtime.processors import usable_processors
from service.runtime.settings import Signal
from service.storage.accounts import replayed_history
from service.storage.accounts.history_partitions import first_kept

# Not of multiprocessing, which leaves a process of its own behind for as long as the demo runs.
_PROGRAM = (sys.executable, "-P", "-m", "service.demo.feed.replaying")
_MOST_PROCESSES = 8
_LEAST_CUSTOMERS = 10
"""Customers for whom a process of their own isn't worth its start."""

_decode = msgspec.msgpack.Decoder(Pasts).decode


class DemoPast:
    """The past of the demo's customers: a replay under way. Made by `replaying`."""

    def __init__(
        self, running: RunningService, policy: Policy, lives: Mapping[str, list[tuple[Signal, bytes]]]
    ) -> None:
        """Begins at once. `lives` are the events of each customer, as records."""
        self._running = running
        self._policy = policy
        self._lives = lives
        today = datetime.now(UTC).date()
        self._first = first_kept(today, running.settings.history_retention_days)
        # Unless midnight comes first, or an earlier run was stopped.
        self._live_from = to_day(today)
        self._processes = self._replay(dict.fromkeys(lives, self._live_from))

    @classmethod
    @asynccontextmanager
    async def replaying(cls, running: RunningService, events: Sequence[DemoEvent]) -> AsyncIterator["DemoPast"]:
        """The past in the given events of all customers. When the block ends, its processes do."""
        async with running.engine.connect() as connection:
            policy = await load_policy(connection, running.settings.retention_days)
        lives: dict[str, list[tuple[Signal, bytes]]] = defaultdict(list)
        for event in events:
            lives[event.account_id].append((event.signal, event.encode()))
        past = cls(running, policy, lives)
        try:
            yield past
        finally:
            await past._stop()

    async def write(self, tell: Tell) -> None:
        """Write it into history, once all customers exist. What an earlier run has written is left alone.

        Raises `HealthError` if a process fails.
        """
        async with self._running.engine.connect() as connection:
            found = await replayed_history.beginnings(connection, sorted(self._lives), self._first)
        unwritten = [each for each in found if each.replayed_from is None]
        wanted = {each.account_id: Wanted(each.live_from, each.created_at) for each in unwritten}
        if any(each.live_from != self._live_from for each in unwritten):
            await self._stop()
            self._processes = self._replay({each.account_id: each.live_from for each in unwritten})
        writer = HistoryWriter(self._running.engine, self._policy, wanted, to_day(self._first))
        for number, process in enumerate(self._processes):
            tell(number / len(self._processes), f"{writer.written.accounts} customers")
            await writer.write([past for past in await process if past[0].account_id in wanted])
        tell(1.0, f"{writer.written.accounts} customers")

    def _replay(self, live_from: Mapping[str, int]) -> list[asyncio.Task[Pasts]]:
        lives = [CustomerLife(account_id, day, self._lives[account_id]) for account_id, day in live_from.items()]
        processes = min(usable_processors(), _MOST_PROCESSES, len(lives) // _LEAST_CUSTOMERS + 1)
        policy = encode_policy(replace(self._policy, rules=()))
        jobs = [ReplayJob(policy, to_day(self._first), lives[number::processes]) for number in range(processes)]
        return [asyncio.create_task(_run(msgspec.msgpack.encode(job))) for job in jobs]

    async def _stop(self) -> None:
        for process in self._processes:
            process.cancel()
        await asyncio.gather(*self._processes, return_exceptions=True)


async def _run(job: bytes) -> Pasts:
    """The pasts from a process, which is ended if this is cancelled."""
    # In its own session: Ctrl-C is for the demo, which ends it.
    process = await asyncio.create_subprocess_exec(
        *_PROGRAM, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True
    )
    try:
        answer, error = await process.communicate(job)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if process.returncode:
        reason = error.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
        raise HealthError(f"The scores of the past couldn't be replayed: {reason[0]}")
    return _decode(answer)
