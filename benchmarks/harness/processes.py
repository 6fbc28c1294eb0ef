"""Processes under measurement: starting and stopping them, their findings, and their cost."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import msgspec
from psutil import NoSuchProcess, Process  # type: ignore[import-untyped] # ships no types

from service.embedded.ports import free_port, listens
from service.embedded.server_process import ParentWatch

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 60
TAIL_LINES = 20
WORK_SECONDS = 4 * 3600
Findings = TypeVar("Findings")


class ContenderFailedError(Exception):
    """A contender ended or stopped making progress; the message ends with its log."""


class Contender:
    """A running process with its output in a log file."""

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        """Start it in `folder`, where it may leave files."""
        self.name = name
        self._log = folder / f"{name}.log"
        folder.mkdir(parents=True, exist_ok=True)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._parent_watch = ParentWatch(self.pid, signal.SIGTERM)

    @property
    def pid(self) -> int:
        """The process number."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """True if it has ended by itself."""
        return self._process.poll() is not None

    def cpu_seconds(self) -> float:
        """Processor time so far."""
        return cpu_seconds(self.pid)

    def peak_mb(self) -> float | None:
        """The most resident megabytes so far; None if the system doesn't say."""
        try:
            peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{self.pid}/status").read_text())
        except OSError:
            return None
        return int(peak[1]) / 1000 if peak else None

    def await_port(self, port: int) -> None:
        """Wait until it listens. Raises `ContenderFailedError`."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not listens(port):
            if self.ended or time.monotonic() > deadline:
                raise ContenderFailedError(self.explain("doesn't listen"))
            time.sleep(0.05)

    def wait(self) -> None:
        """Wait for its end, which must be a success. Raises `ContenderFailedError`."""
        try:
            status = self._process.wait(WORK_SECONDS)
        except subprocess.TimeoutExpired:
            raise ContenderFailedError(self.explain(f"didn't end within {WORK_SECONDS:,} s")) from None
        if status:
            raise ContenderFailedError(self.explain("failed"))

    def findings(self, type_: type[Findings]) -> Findings:
        """Wait until it has printed its findings as JSON and ended. Raises `ContenderFailedError`."""
        self.wait()
        return msgspec.json.decode(self.output().splitlines()[-1], type=type_)

    def ask_to_end(self) -> None:
        """Send SIGTERM, and wait for nothing."""
        self._process.send_signal(signal.SIGTERM)

    def close(self) -> None:
        """Send SIGTERM, and SIGKILL if that doesn't help."""
        self._parent_watch.stop()
        if self.ended:
            return
        self.ask_to_end()
        try:
            self._process.wait(PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def output(self) -> str:
        """Everything it has printed."""
        return self._log.read_text(errors="replace")

    def explain(self, what: str) -> str:
        """The message, with the end of the log."""
        tail = "\n".join(f"    {line}" for line in self.output().splitlines()[-TAIL_LINES:])
        return f"{self.name} {what}; its log ends:\n{tail}"


def running(name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> closing[Contender]:
    """A process, started at once, until the end of a `with` block."""
    return closing(Contender(name, command, environment, folder))


@contextmanager
def helping(module: str, *arguments: str, root: Path = ROOT) -> Iterator[Contender]:
    """A module of the benchmarks in `root`, run until the end of the block; its findings are JSON."""
    command = [sys.executable, "-P", "-m", f"benchmarks.{module}", *arguments]
    variables = {**os.environ, "PYTHONPATH": str(root)}
    with TemporaryDirectory() as folder, running(module, command, variables, Path(folder)) as helper:
        yield helper


@contextmanager
def listening(module: str, *arguments: str) -> Iterator[tuple[Contender, int]]:
    """A helper that listens on a port, which is its last argument."""
    port = free_port()
    with helping(module, *arguments, str(port)) as helper:
        helper.await_port(port)
        yield helper, port


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far; 0 if it is gone."""
    try:
        times = Process(pid).cpu_times()
    except NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def tree_cpu_seconds(pid: int) -> float:
    """Processor time of a process and all its children, including those that have ended."""
    try:
        process = Process(pid)
        times = process.cpu_times()
        children = [cpu_seconds(child.pid) for child in process.children(recursive=True)]
    except NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system + sum(children))
