"""Dying of SIGTERM where there is nothing to finish: before a process has begun its work, and when asked twice."""

import os
import signal
from types import FrameType


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
