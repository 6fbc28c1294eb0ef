"""Servers must not outlive the process that started them."""

from signal import Signals
from subprocess import DEVNULL, PIPE, Popen

# Nothing is ever written to the pipe: `read` returns when the last writer, the process that made it, is gone.
WATCH = 'read -r _; kill -s "$1" "$2"'
# A process that is gone is left in peace: its number may be another's by then.
THEN_KILL = '; for _ in $(seq "$3"); do sleep 1; kill -s 0 "$2" || exit 0; done; kill -s KILL "$2"'


class Lifeline:
    """Signals a process once this one is gone, however it went: a small shell watches a pipe between the two."""

    def __init__(self, pid: int, signal: Signals, patience: int | None = None) -> None:
        """Watch from now on; process `pid` will get `signal`, and SIGKILL if it still runs `patience` seconds later."""
        script = WATCH if patience is None else WATCH + THEN_KILL
        command = ["/bin/sh", "-c", script, "lifeline", signal.name.removeprefix("SIG"), str(pid), str(patience)]
        self._watcher = Popen(  # noqa: S603 - fixed words, a signal name and numbers
            command, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL, start_new_session=True
        )

    def cut(self) -> None:
        """Stop watching. Call it before the process is reaped: then its number can't be another's yet."""
        self._watcher.kill()
        self._watcher.communicate()
