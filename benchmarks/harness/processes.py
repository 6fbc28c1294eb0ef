"""Processes under measurement: starting and stopping them, and their cost."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from psutil import NoSuchProcess, Process, cpu_times  # type: ignore[import-untyped] # ships no types

from service.embedded.server_process import ParentWatch
from service.runtime.settings import Settings

STOP_SECONDS = 60
TAIL_LINES = 20


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

    def memory(self) -> tuple[float, float]:
        """Resident megabytes now and at most; 0 if the system doesn't report them."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return 0.0, 0.0
        kilobytes = dict(re.findall(r"(VmRSS|VmHWM):\s+(\d+) kB", status))
        return int(kilobytes.get("VmRSS", 0)) / 1000, int(kilobytes.get("VmHWM", 0)) / 1000

    def wait(self, seconds: float) -> None:
        """Wait for its end, which must be a success."""
        try:
            status = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise ContenderFailedError(self.explain(f"didn't end within {seconds:.0f} s")) from None
        if status:
            raise ContenderFailedError(self.explain("failed"))

    def stop(self) -> None:
        """Send SIGTERM, and SIGKILL if that doesn't help."""
        self._parent_watch.stop()
        if self.ended:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
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


@contextmanager
def running(name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> Iterator[Contender]:
    """A process until the end of the block."""
    contender = Contender(name, command, environment, folder)
    try:
        yield contender
    finally:
        contender.stop()


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """The environment that an operator would export for the service, without this process's own settings of it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HEALTH_")}
    return {
        **inherited,
        "HEALTH_DATABASE_URL": settings.database_url.get_secret_value(),
        "HEALTH_KAFKA_BOOTSTRAP_SERVERS": settings.kafka_bootstrap_servers,
        "HEALTH_KAFKA_GROUP": settings.kafka_group,
        "HEALTH_KAFKA_PARTITIONS": str(settings.kafka_partitions),
        **{f"HEALTH_TOPIC_{signal.upper()}": topic for signal, topic in settings.topics.items()},
        **more,
    }


def cpu_seconds(pid: int) -> float:
    """Processor time of a process so far; 0 if it is gone."""
    try:
        times = Process(pid).cpu_times()
    except NoSuchProcess:
        return 0.0
    return float(times.user + times.system)


def foreign_cpu_seconds() -> float:
    """Processor time so far of other processes: neither this one nor its descendants."""
    busy = cpu_times()
    return float(sum(busy) - busy.idle - getattr(busy, "iowait", 0.0) - tree_cpu_seconds(os.getpid()))


def tree_cpu_seconds(pid: int) -> float:
    """Processor time of a process and all its children, including those that have ended."""
    try:
        process = Process(pid)
        times = process.cpu_times()
        children = [cpu_seconds(child.pid) for child in process.children(recursive=True)]
    except NoSuchProcess:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system + sum(children))
