"""Prometheus's own checker: the one on the PATH, else Debian's, unpacked into the cache without root."""

import fcntl
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from tests.support.cache import cache_folder
from tests.support.kafka_choice import is_required

PACKAGE = "prometheus"


class NoPromtoolError(Exception):
    """Raised if promtool is neither installed nor available; the message says why."""


def promtool(*arguments: str | Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run promtool, with `given` as its input. If it isn't available the test is skipped; in CI it fails."""
    try:
        program = _find()
    except NoPromtoolError as error:
        why = f"promtool can't be had: {error}"
        if is_required():
            pytest.fail(f"{why}. Install Debian's package {PACKAGE}")
        pytest.skip(why)
    return subprocess.run([program, *arguments], input=given, capture_output=True, text=True, timeout=120, check=False)


@cache
def _find() -> Path:
    if found := shutil.which("promtool"):
        return Path(found)
    folder = cache_folder() / PACKAGE
    program = folder / "usr" / "bin" / "promtool"
    if program.exists():
        return program
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise NoPromtoolError(f"there is no {tool} on the PATH")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{PACKAGE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not program.exists():
            _fetch(folder)
    return program


def _fetch(folder: Path) -> None:
    """Fill a folder beside `folder`, then rename it: a folder of that name is complete."""
    unfinished = folder.with_name(f"{PACKAGE}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    _run("apt-get", "download", PACKAGE, into=unfinished)
    [package] = unfinished.glob("*.deb")
    _run("dpkg-deb", "-x", package.name, ".", into=unfinished)
    package.unlink()
    unfinished.rename(folder)


def _run(*command: str, into: Path) -> None:
    result = subprocess.run(command, cwd=into, capture_output=True, text=True, timeout=120, check=False)
    if result.returncode:
        raise NoPromtoolError((result.stdout + result.stderr).strip()[-500:])
