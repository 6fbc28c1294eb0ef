"""One server process of ours, from its start to its end; it is stopped if the process that started it dies."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from signal import Signals
from subprocess import DEVNULL, PIPE, STDOUT, Popen, TimeoutExpired
from typing import NoReturn

from service.embedded.process_tree import kill_tree
from service.embedded.unprivileged_user import ServerAccount
from service.runtime.errors import HealthError

# Nothing is ever written to the pipe: `read` returns when the last writer, the process that made it, is gone.
WATCH = 'read -r _; kill -s "$1" "$2"'


class ParentWatch:
    """Signals a process once this one is gone, however it went: a small shell watches a pipe between the two."""

    def __init__(self, pid: int, signal: Signals) -> None:
        """Watch from now on; process `pid` will get `signal`."""
        command = ["/bin/sh", "-c", WATCH, "parent-watch", signal.name.removeprefix("SIG"), str(pid)]
        self._watcher = Popen(  # noqa: S603 - fixed words, a signal name and a number
            command, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True
        )

    def stop(self) -> None:
        """Stop watching. Call it before the process is reaped: then its number can't be another's yet."""
        self._watcher.kill()
        self._watcher.communicate()


TAIL_LINES = 15


class ServerProcess:
    """A running server whose output goes to a log file.

    It has its own session, so that Ctrl-C in a terminal reaches only the parent, which stops its servers in order; and
    it gets its `farewell` signal if the parent dies without having stopped it.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        farewell: Signals,
        account: ServerAccount = ServerAccount(),  # noqa: B008 - frozen
    ) -> None:
        """Start `command` in the log's folder, as `account`."""
        self._name = name
        self._log = log
        with log.open("ab") as output:
            self._log_start = output.tell()
            self._process = Popen(  # noqa: S603 - programs and arguments are ours
                command,
                stdin=DEVNULL,
                stdout=output,
                stderr=STDOUT,
                cwd=log.parent,
                start_new_session=True,
                **account.for_popen(),
            )
        self._parent_watch = ParentWatch(self._process.pid, farewell)

    @property
    def pid(self) -> int:
        """The process number."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """True while it runs."""
        return self._process.poll() is None

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Return once `ready()`; if that takes too long or the server ends, clean up and raise `HealthError`."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.alive:
                self._fail(f"{self._name} ended instead of starting (status {self._process.returncode})")
            if time.monotonic() > deadline:
                self._fail(f"{self._name} did not answer within {seconds:.0f} s")
            time.sleep(0.02)

    def stop(self, signal: Signals, seconds: float) -> None:
        """Ask it to stop and wait; after `seconds` kill it."""
        self._parent_watch.stop()
        if self.alive:
            self._process.send_signal(signal)
            try:
                self._process.wait(seconds)
            except TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """SIGKILL for it and all it started, at once; returns when they are gone."""
        self._parent_watch.stop()
        if self.alive:
            kill_tree(self._process.pid)
            self._process.wait()

    def _fail(self, problem: str) -> NoReturn:
        self.kill()
        raise HealthError(problem, f"Its log, {self._log}, ends:\n{self._tail()}")

    def _tail(self) -> str:
        with self._log.open("rb") as log:
            log.seek(self._log_start)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-TAIL_LINES:])
