"""Servers must not outlive the process that started them, and they can't be taught to watch for its end."""

from signal import Signals
from subprocess import DEVNULL, PIPE, Popen

# Nothing is ever written to the pipe: `read` returns when the last writer, the process that made it, is gone.
WATCH = 'read -r _; kill -s "$1" "$2"'


class Lifeline:
    """Signals a process once this one is gone, however it went: a small shell watches a pipe between the two."""

    def __init__(self, pid: int, signal: Signals) -> None:
        """Watch from now on; process `pid` will get `signal`."""
        command = ["/bin/sh", "-c", WATCH, "lifeline", signal.name.removeprefix("SIG"), str(pid)]
        self._watcher = Popen(  # noqa: S603 - fixed words, a signal name and a number
            command, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True
        )

    def cut(self) -> None:
        """Stop watching. Call it before the process is reaped: then its number can't be another's yet."""
        self._watcher.kill()
        self._watcher.communicate()
