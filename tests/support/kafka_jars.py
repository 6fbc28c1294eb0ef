"""Apache Kafka's jars: fetched once with Maven, kept in a cache folder that all runs share."""

import fcntl
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

from service.runtime.errors import HealthError
from tests.support.cache import cache_folder

POM = Path(__file__).parents[1] / "kafka" / "pom.xml"
JAVA_NEEDED = 17

Announce = Callable[[str], None]


def to_stderr(line: str) -> None:
    """The plain way to announce a long wait."""
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - who waits wants to know what for


@cache
def kafka_version() -> str:
    """The version the pom asks for."""
    found = re.search(r"<kafka\.version>(.+?)</kafka\.version>", POM.read_text())
    assert found, "the pom names kafka.version"
    return found[1]


@cache
def what_is_missing() -> str | None:
    """The reason why Apache Kafka can't run here, or None if it can."""
    java = shutil.which("java")
    if java is None:
        return "there is no `java` on the PATH"
    if (version := _java_version(java)) < JAVA_NEEDED:
        return f"`java` is version {version}, Apache Kafka needs {JAVA_NEEDED}"
    if not _jar_folder().exists() and shutil.which("mvn") is None:
        return "there is no `mvn` on the PATH to fetch it with"
    return None


def jars(announce: Announce = to_stderr) -> Path:
    """The folder with the jars, fetched if necessary. Safe to call from several processes at once.

    Raises `HealthError` with Maven's words if that fails.
    """
    folder = _jar_folder()
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(folder.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            announce(f"Fetching Apache Kafka {kafka_version()} with Maven, about 43 MB, this once …")
            _fetch(folder)
    return folder


def _jar_folder() -> Path:
    return cache_folder() / f"kafka-{kafka_version()}"


def _fetch(folder: Path) -> None:
    """Fill a folder beside `folder`, then rename it: a folder of that name is complete."""
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    command = ["mvn", "-B", "-q", "-ntp", "-f", str(POM), "dependency:copy-dependencies"]
    result = subprocess.run([*command, f"-DoutputDirectory={unfinished}"], capture_output=True, text=True, check=False)
    if result.returncode:
        raise HealthError("Maven could not fetch Apache Kafka", (result.stdout + result.stderr).strip()[-2000:])
    unfinished.rename(folder)


def _java_version(java: str) -> int:
    result = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    found = re.search(r'version "(\d+)', result.stderr)
    return int(found[1]) if found else 0
