"""One process of the service, started and supervised by another."""

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from service.runtime.signals import PARENT_WATCH_VARIABLE

# -P: a folder `service` in the current folder must not be imported in place of this one.
PROGRAM = (sys.executable, "-P", "-m", "service")
PATIENCE_SECONDS = 30
"""The time limit in seconds for stopping once the parent is dead."""


@dataclass(frozen=True)
class ProcessSpec:
    """The plan of a process: the subcommand it runs, a name of its own, and the stage in which it is stopped.

    `environment` overrides the variables that all processes are given. The others can't work without an essential
    process: if it can't be started, all are stopped.
    """

    name: str
    command: str
    stage: int
    environment: tuple[tuple[str, str], ...] = ()
    is_essential: bool = False


class ChildProcess:
    """A running process of a spec.

    It has its own session, so that Ctrl-C in a terminal reaches only the parent, which stops its processes in order;
    and it watches a pipe from the parent, and stops if the parent dies without having stopped it.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Wrap a process that has just been started."""
        self._process = process

    @classmethod
    async def start(cls, role: ProcessSpec, environment: Mapping[str, str], *, log: Path | None) -> "ChildProcess":
        """Start `account-health COMMAND`; its output is appended to `log`, or goes where ours goes."""
        arguments = (*PROGRAM, role.command)
        variables = {
            **os.environ,
            **environment,
            **dict(role.environment),
            PARENT_WATCH_VARIABLE: str(PATIENCE_SECONDS),
        }
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
        """Send SIGTERM, on which the process finishes what is under way."""
        with suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        """Send SIGKILL."""
        with suppress(ProcessLookupError):
            self._process.kill()


async def _spawn(
    arguments: tuple[str, ...], variables: Mapping[str, str], output: int | None
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *arguments,
        stdin=asyncio.subprocess.PIPE,  # closes when the parent dies
        stdout=output,
        stderr=None if output is None else asyncio.subprocess.STDOUT,
        env=variables,
        start_new_session=True,
    )
