"""One process of the service, started by another one that looks after it."""

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from service.runtime.signals import LIFELINE_VARIABLE as LIFELINE

# -P: a folder `service` in the current folder must not be taken for this one.
PROGRAM = (sys.executable, "-P", "-m", "service")
PATIENCE_SECONDS = 30
"""How long a process may take to stop once its starter is dead."""


@dataclass(frozen=True)
class ProcessSpec:
    """What a process does: the subcommand it runs, a name of its own, and the stage in which it is ended.

    `environment` goes over what all processes are given. Without one that is essential the others are of no use: all
    are ended where it can't be started.
    """

    name: str
    command: str
    stage: int
    environment: tuple[tuple[str, str], ...] = ()
    is_essential: bool = False


class ChildProcess:
    """A running process of a role.

    It has its own session, so that Ctrl-C in a terminal reaches only the process that ends its workers in order; and
    it has a lifeline, by which it stops when that process dies without having ended it.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """The process has just been started."""
        self._process = process

    @classmethod
    async def start(cls, role: ProcessSpec, environment: Mapping[str, str], *, log: Path | None) -> "ChildProcess":
        """Start `account-health COMMAND`; what it prints is appended to `log`, or goes where ours goes."""
        arguments = (*PROGRAM, role.command)
        variables = {**os.environ, **environment, **dict(role.environment), LIFELINE: str(PATIENCE_SECONDS)}
        if log is None:
            return cls(await _spawn(arguments, variables, None))
        with log.open("ab") as output:
            return cls(await _spawn(arguments, variables, output.fileno()))

    @property
    def pid(self) -> int:
        """The process number."""
        return self._process.pid

    async def wait(self) -> int:
        """Wait for its end; returns its exit status, negative for a signal."""
        return await self._process.wait()

    def ask_to_stop(self) -> None:
        """SIGTERM, on which it finishes what is under way."""
        with suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        """SIGKILL."""
        with suppress(ProcessLookupError):
            self._process.kill()


async def _spawn(
    arguments: tuple[str, ...], variables: Mapping[str, str], output: int | None
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *arguments,
        stdin=asyncio.subprocess.PIPE,  # its lifeline
        stdout=output,
        stderr=None if output is None else asyncio.subprocess.STDOUT,
        env=variables,
        start_new_session=True,
    )
