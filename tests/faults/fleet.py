"""The consumers of a run, as processes that are killed, paused, resumed and asked to stop."""

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncEngine

from service.runtime.child_process import ChildProcess, ProcessSpec
from service.storage.ingest import progress

GRACE_SECONDS = 30.0
_TAIL_LINES = 12


@dataclass(eq=False)
class Member:
    """One consumer. `fate` is the fault that it was given, on which its permitted end depends."""

    name: str
    worker: ChildProcess
    log: Path
    fate: Literal["runs", "paused", "asked to stop", "killed"] = "runs"
    ended: asyncio.Task[None] = field(init=False)

    @property
    def has_started(self) -> bool:
        """True once it has started work, until it ends."""
        return not self.ended.done() and b'"started"' in self.log.read_bytes()[:10_000]

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        with suppress(ProcessLookupError):
            os.kill(self.worker.pid, number)


class Fleet:
    """Consumers, and what went wrong with them: one that ends otherwise than it was made to."""

    def __init__(self, environment: Mapping[str, str], logs: Path) -> None:
        """Nothing runs yet; logs go to the folder."""
        self._environment = environment
        self._logs = logs
        self.members: list[Member] = []
        self.problems: list[str] = []

    @property
    def running(self) -> list[Member]:
        """The consumers that have started and aren't paused. One that hasn't would just die of SIGTERM."""
        return [member for member in self.members if member.fate == "runs" and member.has_started]

    async def start(self) -> Member:
        """Start another consumer."""
        name = f"consumer-{len(self.members) + 1}"
        log = self._logs / f"{name}.log"
        member = Member(
            name, await ChildProcess.start(ProcessSpec(name, "consume", 0), self._environment, log=log), log
        )
        member.ended = asyncio.create_task(self._watch(member))
        self.members.append(member)
        return member

    async def kill(self, member: Member) -> None:
        """SIGKILL; returns when it is gone."""
        member.fate = "killed"
        member.worker.kill()
        await member.ended

    def pause(self, member: Member) -> None:
        """SIGSTOP."""
        member.fate = "paused"
        member.send(signal.SIGSTOP)

    def resume(self, member: Member) -> None:
        """SIGCONT."""
        if member.fate == "paused":
            member.fate = "runs"
            member.send(signal.SIGCONT)

    def wake(self, member: Member) -> None:
        """SIGCONT for one that was stopped for a moment, unless it was paused meanwhile: that has its own end."""
        if member.fate != "paused":
            member.send(signal.SIGCONT)

    async def stop(self, member: Member) -> None:
        """SIGTERM; it has to end well, and in time."""
        member.fate = "asked to stop"
        member.worker.ask_to_stop()
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                await asyncio.shield(member.ended)
        except TimeoutError:
            self.problems.append(f"{member.name} runs {GRACE_SECONDS:g} s after SIGTERM\n{tail(member.log)}")

    def check(self) -> None:
        """Raise if a consumer ended otherwise than it was made to."""
        assert not self.problems, "\n".join(self.problems)

    async def until_folded(self, engine: AsyncEngine, records: int) -> None:
        """Wait until a number of records are folded; fails if a consumer dies."""
        while True:
            self.check()
            async with engine.connect() as connection:
                folded = sum(row.next_offset for row in await progress.all_partitions(connection))
            if folded >= records:
                return
            await asyncio.sleep(0.5)

    async def kill_all(self) -> None:
        """Stop everything."""
        for member in self.members:
            if not member.ended.done():
                await self.kill(member)

    async def _watch(self, member: Member) -> None:
        status = await member.worker.wait()
        if status != {"asked to stop": 0, "killed": -signal.SIGKILL}.get(member.fate):
            self.problems.append(f"{member.name}, which {member.fate}, ended with {status}\n{tail(member.log)}")


def tail(log: Path) -> str:
    """The end of a log, without what the Kafka client says ten times a second while the broker is away."""
    lines = log.read_text(errors="replace").splitlines()
    told = [line for line in lines if '"logger": "aiokafka' not in line]
    return "\n".join(f"  {line}" for line in told[-_TAIL_LINES:])
