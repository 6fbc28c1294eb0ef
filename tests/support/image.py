"""The image in tests, without an engine: its Dockerfile parsed, and its wheel built and installed in the same way."""

import fcntl
import fnmatch
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from tests.support.cache import cache_folder
from tests.support.chart import DEPLOY

ROOT = DEPLOY.parent
DOCKERFILE = DEPLOY / "Dockerfile"
BUILD_LOCK = DEPLOY / "build.lock"
RUNTIME_LOCK = DEPLOY / "requirements.lock"
PACKAGES = ("consumers", "migrations", "scoring", "service")
SECONDS = 120


class Instruction(NamedTuple):
    """One line of a Dockerfile, continuations joined."""

    word: str
    rest: str


def stages() -> list[list[Instruction]]:
    """The instructions of each stage, FROM first; those before the first stage are left out."""
    text = re.sub(r"^\s*#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    found: list[list[Instruction]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            found.append([])
        if found:
            found[-1].append(Instruction(word, re.sub(r"\s+", " ", rest.strip())))
    return found


def environment_of(stage: list[Instruction]) -> dict[str, str]:
    """The variables that a stage sets."""
    return {
        name: value
        for instruction in stage
        if instruction.word == "ENV"
        for name, value in re.findall(r"(\w+)=(\S+)", instruction.rest)
    }


def copied() -> Iterator[str]:
    """The paths copied from the repository."""
    for stage in stages():
        for word, rest in stage:
            if word == "COPY" and not rest.startswith("--from"):
                yield from rest.split()[:-1]


def is_ignored(path: str) -> bool:
    """True if .dockerignore hides `path` from the engine: as it reads it, the last matching line decides."""
    ignored = False
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        pattern = line.removeprefix("!")
        parents = [path, *(str(parent) for parent in Path(path).parents if str(parent) != ".")]
        anywhere = pattern.removeprefix("**/")
        fits = any(
            (fnmatch.fnmatch(each, pattern) and each.count("/") == pattern.count("/"))
            or (pattern != anywhere and fnmatch.fnmatch(each.rpartition("/")[2], anywhere))
            for each in parents
        )
        if fits:
            ignored = not line.startswith("!")
    return ignored


def pinned(lock: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Version (with its marker) and hashes by name."""
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for block in re.split(r"\n(?=\S)", re.sub(r"^\s*#.*\n", "", lock.read_text(), flags=re.MULTILINE)):
        name, _, rest = block.partition("==")
        hashes = re.findall(r"sha256:[0-9a-f]{64}", rest)
        found[name.strip()] = (rest.split("\\")[0].strip(), frozenset(hashes))
    return found


def build(kind: Literal["wheel", "sdist"], folder: Path, source: Path = ROOT) -> Path:
    """Build the project in `source` into `folder`, with the tools of build.lock, which are fetched once."""
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(folder)],
        cwd=source,
        env={**os.environ, "PYTHONPATH": str(_build_tools())},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return max(folder.glob({"wheel": "*.whl", "sdist": "*.tar.gz"}[kind]), key=lambda path: path.stat().st_mtime)


def install(wheel: Path, folder: Path) -> None:
    """Install it alone, without its dependencies."""
    _pip("--no-deps", "--no-index", str(wheel), folder=folder)


def _build_tools() -> Path:
    folder = cache_folder() / "build-tools"
    wanted = BUILD_LOCK.read_bytes()
    with (cache_folder() / "build-tools.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / ".installed"
        if not done.exists() or done.read_bytes() != wanted:
            _pip("--require-hashes", "--upgrade", "-r", str(BUILD_LOCK), folder=folder)
            done.write_bytes(wanted)
    return folder


def _pip(*arguments: str, folder: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(
        [*command, "--target", str(folder)], capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
