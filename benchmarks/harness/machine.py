"""The machine and the versions that a result is of, and the share of it that others took. No host or path is named."""

import os
import platform
import re
import shutil
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Self

from psutil import cpu_times  # type: ignore[import-untyped] # ships no types

from benchmarks.harness.processes import ROOT, tree_cpu_seconds

KERNEL = r"^([\d.]*\d)"
"""The kernel's version without the suffix of its builder."""


def describe() -> dict[str, str]:
    """The facts that readers need to judge the numbers; servers and contenders add theirs."""
    return {
        "processor": f"{_cpu_model()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{_distribution()}, {platform.system()} {_group(KERNEL, platform.release())}",
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "commit": _commit(),
        "Python": platform.python_version(),
        **{name: version(name) for name in ("aiokafka", "asyncpg", "msgspec", "sqlalchemy", "uvloop")},
        "Java": java_version() or "none",
    }


def java_version() -> str | None:
    """The version that `java` reports; None if there is none."""
    if (java := shutil.which("java")) is None:
        return None
    said = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    return _group(r'version "(.+?)"', said)


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    found = _group(r"model name\s*: (.+)", cpuinfo.read_text()) if cpuinfo.exists() else None
    return found or platform.machine()


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()


def _group(pattern: str, text: str) -> str | None:
    """The group of the first match."""
    found = re.search(pattern, text)
    return found[1].strip() if found else None


def _commit() -> str:
    if shutil.which("git") is None:
        return "unknown"

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    changed = " with local changes" if git("status", "--porcelain") else ""
    return (git("rev-parse", "--short", "HEAD") or "unknown") + changed


class ForeignLoad:
    """The share of all processors, from 0 to 1, that other processes take during a `with` block, known at its end."""

    share = 0.0

    def __enter__(self) -> Self:
        self._started, self._cpu_started = time.monotonic(), _foreign_cpu_seconds()
        return self

    def __exit__(self, *_: object) -> None:
        seconds = max(time.monotonic() - self._started, 1e-3)
        self.share = max(_foreign_cpu_seconds() - self._cpu_started, 0.0) / seconds / (os.cpu_count() or 1)


def _foreign_cpu_seconds() -> float:
    """Processor time so far of other processes: neither this one nor its descendants."""
    busy = cpu_times()
    return float(sum(busy) - busy.idle - getattr(busy, "iowait", 0.0) - tree_cpu_seconds(os.getpid()))
