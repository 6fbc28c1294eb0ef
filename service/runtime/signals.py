"""Signals that end a process: SIGTERM while there is nothing to finish, and the death of its parent."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from types import FrameType


def die_on_sigterm() -> None:
    """End at once on SIGTERM from now on, in process 1 of a container too.

    The kernel shields process 1 from signals' default actions, so without a handler a container that is stopped while
    it starts waits until it is killed. Only the main thread may call this.
    """
    signal.signal(signal.SIGTERM, _die)


def _die(number: int, _: FrameType | None) -> None:
    """Die by the signal, so that the parent sees it; process 1 can't, and exits with the status that a shell would
    report.
    """
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)


def die_with_parent() -> None:
    """End at once, from now on, when the process dies that started this one by `multiprocessing`."""
    threading.Thread(target=_end_with_parent, name="parent-watch", daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


PARENT_WATCH_VARIABLE = "HEALTH_PARENT_WATCH_SECONDS"
"""Set for a process tied to its parent: the seconds that it may take to stop once the parent is gone."""


def stop_when_parent_dies() -> None:
    """If this process is tied to its parent, stop as on SIGTERM when the parent dies, and be killed if that takes long.

    The parent gives it a pipe for standard input and writes nothing; reading ends when the last writer is gone. So the
    process is tied from its first moment, which a watcher started after it couldn't ensure.
    """
    if patience := os.environ.get(PARENT_WATCH_VARIABLE):
        threading.Thread(target=_wait, args=(float(patience),), name="parent-watch", daemon=True).start()


def _wait(patience: float) -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(patience)
    os.kill(os.getpid(), signal.SIGKILL)
