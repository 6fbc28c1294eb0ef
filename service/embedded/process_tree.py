"""Other processes. psutil comes with the wheels of the `embedded` extra, so it is imported late."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from signal import Signals

    from psutil import Process  # type: ignore[import-untyped]


def kill_tree(pid: int, seconds: float = 10) -> None:
    """Send SIGKILL to a process and all its descendants; returns when they have ended (the caller reaps `pid`)."""
    from psutil import NoSuchProcess, Process

    with suppress(NoSuchProcess):
        parent = Process(pid)
        family = [parent, *parent.children(recursive=True)]
        for process in family:
            with suppress(NoSuchProcess):
                process.kill()
        _running_after(family, seconds)


def stop_leftovers(program: Path, data_dir: Path, signal: Signals, seconds: float) -> None:
    """Stop the leftovers of an earlier run: every `program` that has `data_dir` among its arguments.

    Call it only while holding the directory's lock: then no living run owns such a process.
    """
    from psutil import NoSuchProcess, process_iter

    found = [
        process
        for process in process_iter(["name", "cmdline"])
        if process.info["name"] == program.name and str(data_dir) in (process.info["cmdline"] or ())
    ]
    for process in found:
        with suppress(NoSuchProcess):
            process.send_signal(signal)
    for process in _running_after(found, seconds):
        kill_tree(process.pid)


def is_running(pid: int) -> bool:
    """True if a process has not ended. A zombie has: its parent may be slow to reap it."""
    from psutil import STATUS_ZOMBIE, NoSuchProcess, Process

    try:
        return bool(Process(pid).status() != STATUS_ZOMBIE)
    except NoSuchProcess:
        return False


def _running_after(processes: Sequence[Process], seconds: float) -> Sequence[Process]:
    """Wait until all have ended or `seconds` are over; returns those that still run."""
    deadline = time.monotonic() + seconds
    while (running := [process for process in processes if _runs(process)]) and time.monotonic() < deadline:
        time.sleep(0.01)
    return running


def _runs(process: Process) -> bool:
    return bool(process.is_running()) and is_running(process.pid)
