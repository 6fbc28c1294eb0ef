"""Dying of SIGTERM where there is nothing to finish: before a process has begun its work, and when asked twice."""

import os
import signal
import sys
import threading
import time
from types import FrameType

# MERGED """A process must not outlive the one that looks after it, however that one ends.
#
# The starter gives it a pipe for standard input and writes nothing. Reading comes to an end when the last writer is
# gone; there is no moment at which the process runs and isn't tied, as there is for a watcher that is started after it.
# """


def heed_sigterm() -> None:
    """End at once on SIGTERM from now on, in process 1 of a container too.

    The kernel keeps from process 1 what would kill it by default, so without a handler a container that is stopped
    while it starts waits until it is killed. Only the main thread may call this.
    """
    signal.signal(signal.SIGTERM, _die)


def _die(number: int, _: FrameType | None) -> None:
    """By the signal, which its parent can tell; process 1 can't, and ends with the status that a shell makes of it."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)


VARIABLE = "HEALTH_LIFELINE_SECONDS"
"""Set for a tied process: how long it may take to stop once its starter is gone."""


def heed_lifeline() -> None:
    """If this process is tied to its starter, stop as on SIGTERM when that is gone, and be killed if it takes long."""
    if patience := os.environ.get(VARIABLE):
        threading.Thread(target=_wait, args=(float(patience),), name="lifeline", daemon=True).start()


def _wait(patience: float) -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(patience)
    os.kill(os.getpid(), signal.SIGKILL)
