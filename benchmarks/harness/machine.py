"""The machine and the versions that a result is of, and the share of it that others took. No host or path is named."""

import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from benchmarks.harness.processes import foreign_cpu_seconds

ROOT = Path(__file__).parents[2]


def describe() -> dict[str, str]:
    """The facts that readers need to judge the numbers; servers and contenders add theirs."""
    return {
        "processor": f"{_cpu_model()}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{_distribution()}, {platform.system()} {_kernel()}",
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
    found = re.search(r'version "(.+?)"', said)
    return found[1] if found else None


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*: (.+)", cpuinfo.read_text()) if cpuinfo.exists() else None
    return found[1].strip() if found else platform.machine()


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()


def _kernel() -> str:
    """The version without the suffix of a kernel's builder."""
    found = re.match(r"[\d.]*\d", platform.release())
    return found[0] if found else ""


def _commit() -> str:
    if shutil.which("git") is None:
        return "unknown"

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()

    changed = " with local changes" if git("status", "--porcelain") else ""
    return (git("rev-parse", "--short", "HEAD") or "unknown") + changed


class Foreign:
    """The share of all processors that other processes took, from 0 to 1; known at the end of `others`."""

    share = 0.0


@contextmanager
def others() -> Iterator[Foreign]:
    """Measure the load of other processes until the end of the block."""
    foreign = Foreign()
    started, cpu_started = time.monotonic(), foreign_cpu_seconds()
    yield foreign
    seconds = max(time.monotonic() - started, 1e-3)
    foreign.share = max(foreign_cpu_seconds() - cpu_started, 0.0) / seconds / (os.cpu_count() or 1)
