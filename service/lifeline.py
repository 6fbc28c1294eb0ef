"""A process must not outlive the one that looks after it, however that one ends.

The starter gives it a pipe for standard input and writes nothing. Reading comes to an end when the last writer is
gone; there is no moment at which the process runs and isn't tied, as there is for a watcher that is started after it.
"""

import os
import signal
import sys
import threading
import time

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
