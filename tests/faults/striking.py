"""Carrying out a script: faults strike while the stream is sent and folded."""

import asyncio
import logging
import signal
import time
from collections.abc import Coroutine, Sequence
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from service.storage.ingest import progress
from tests.faults.feed import Feed
from tests.faults.fleet import Fleet, Member
from tests.faults.ground import Ground
from tests.faults.script import Fault

SESSION_SECONDS = 2
SLOW_SECONDS, TURN_SECONDS, REST_SECONDS = 6.0, 0.05, 0.2
"""A slow machine: for so long a consumer gets one such turn of the processor after each such rest."""
LONGEST_PAUSE, MOST_PAUSES = 10.0, 3
"""A consumer that was paused in a transaction keeps its partitions' rows locked, and nobody else can claim them."""

log = logging.getLogger(__name__)


class Strikes:
    """The faults of a run, and a journal of what they struck."""

    def __init__(self, ground: Ground, fleet: Fleet, feed: Feed) -> None:
        """Prepare; no fault has struck yet."""
        self._ground = ground
        self._fleet = fleet
        self._feed = feed
        self._began = time.monotonic()
        self._later: list[asyncio.Task[None]] = []
        self.journal: list[str] = []
        self.struck_at_work = 0
        """Faults that came when there was something left to fold."""
        self.taken_over = 0
        """Paused consumers whose partitions another one claimed."""

    async def carry_out(self, faults: Sequence[Fault], records: int) -> None:
        """Bring all faults, releasing records between them; returns when their consequences are over."""
        try:
            for number, fault in enumerate(faults, start=1):
                self._feed.release(records * number // len(faults))
                await asyncio.sleep(fault.after)
                self._fleet.check()
                await self._until_running(2 if fault.kind == "pause" else 1)  # somebody has to take over
                await self._strike(number, fault)
            await asyncio.gather(*self._later)
        finally:
            for task in self._later:
                task.cancel()
        self._fleet.check()

    def note(self, line: str) -> None:
        """Write into the journal."""
        self.journal.append(f"{time.monotonic() - self._began:6.1f} s  {line}")
        log.info(self.journal[-1])

    async def _until_running(self, count: int) -> None:
        while len(self._fleet.running) < count:
            await asyncio.sleep(0.2)
            self._fleet.check()

    async def _strike(self, number: int, fault: Fault) -> None:
        owners = await self._owners()
        behind = (
            self._feed.sent + self._feed.aborted - sum(row.next_offset for row in owners) if owners is not None else 0
        )
        self.struck_at_work += behind > 0
        self.note(f"fault {number}: {fault.kind} ({len(self._fleet.running)} consumers, {behind:,} records behind)")
        match fault.kind:
            case "kill":
                await self._kill(fault)
            case "pause":
                await self._pause(fault)
            case "slow down":
                self._do_later(self._slow(self._pick(self._fleet.running, fault)))
            case "add a partition":
                await self._feed.add_partition()
            case "scale up":
                await self._fleet.start()
            case "scale down":
                self._do_later(self._fleet.stop(self._pick(self._fleet.running, fault)))
            case "restart Postgres":
                await asyncio.to_thread(self._ground.postgres.restart, "immediate")
            case "restart the broker":
                await asyncio.to_thread(self._ground.kafka.kill)
                await asyncio.to_thread(self._ground.kafka.start)

    async def _kill(self, fault: Fault) -> None:
        await self._fleet.kill(self._pick(self._fleet.running, fault))

        async def replace() -> None:
            await asyncio.sleep(fault.delay)
            await self._fleet.start()

        self._do_later(replace())

    async def _slow(self, victim: Member) -> None:
        """Let a consumer have a fifth of the processor, heartbeats and all, unless something else befalls it."""
        ends_at = time.monotonic() + SLOW_SECONDS
        while time.monotonic() < ends_at and victim.fate == "runs":
            victim.send(signal.SIGSTOP)
            await asyncio.sleep(REST_SECONDS)
            self._fleet.wake(victim)
            await asyncio.sleep(TURN_SECONDS)

    async def _pause(self, fault: Fault) -> None:
        owning = {pid for row in await self._owners() or [] if (pid := _pid(row.owner))}
        running = self._fleet.running
        victim = self._pick([member for member in running if member.worker.pid in owning] or running, fault)
        self._fleet.pause(victim)
        self._do_later(self._resume(victim, had_partitions=victim.worker.pid in owning))

    async def _resume(self, victim: Member, *, had_partitions: bool) -> None:
        """Resume a paused consumer once its session is over and others have its partitions.

        One that was stopped in a transaction blocks those others by its locks; it gets a moment, and is paused again.
        """
        paused_at = time.monotonic()
        is_over = await self._until_taken_over(victim)
        for _ in range(MOST_PAUSES - 1):
            if is_over:
                break
            self._fleet.resume(victim)
            await asyncio.sleep(TURN_SECONDS)
            if victim.fate == "runs":
                self._fleet.pause(victim)
                is_over = await self._until_taken_over(victim)
        self.taken_over += had_partitions and is_over
        what = "others have its partitions" if is_over else "it still has partitions"
        self.note(f"{victim.name} goes on after {time.monotonic() - paused_at:.1f} s; {what}")
        self._fleet.resume(victim)

    async def _until_taken_over(self, victim: Member) -> bool:
        """Wait until no partition is the paused consumer's; False if `LONGEST_PAUSE` ends before."""
        paused_at = time.monotonic()
        while time.monotonic() - paused_at < LONGEST_PAUSE:
            await asyncio.sleep(SESSION_SECONDS / 2)
            owners = await self._owners()
            if (
                time.monotonic() - paused_at > SESSION_SECONDS
                and owners is not None
                and victim.worker.pid not in {_pid(row.owner) for row in owners}
            ):
                return True
        return False

    def _pick(self, members: Sequence[Member], fault: Fault) -> Member:
        self._fleet.check()
        member = members[int(fault.lot * len(members))]
        self.note(f"  {fault.kind}: {member.name}")
        return member

    def _do_later(self, work: Coroutine[Any, Any, None]) -> None:
        self._later.append(asyncio.create_task(work))

    async def _owners(self) -> Sequence[Any] | None:
        """The progress stored in Postgres; None while it is away."""
        try:
            async with asyncio.timeout(5), self._ground.engine.connect() as connection:
                return await progress.all_partitions(connection)
        except (SQLAlchemyError, OSError):
            return None


def _pid(owner: str) -> int | None:
    """The process that an owner's name ends with."""
    number = owner.rpartition(":")[2]
    return int(number) if number.isdigit() else None
