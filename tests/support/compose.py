"""The compose file in tests: read as YAML, and loaded by the library of `docker compose config`."""

import fcntl
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.cache import cache_folder
from tests.support.chart import DEPLOY

FILE = DEPLOY / "compose.yaml"
EXAMPLE = DEPLOY / ".env.example"
LOADER = Path(__file__).parents[1] / "deploy" / "compose"
SECONDS = 170


def services() -> dict[str, dict[str, Any]]:
    """The services as they are written, anchors resolved."""
    return dict(yaml.safe_load(FILE.read_text())["services"])


def variables() -> list[tuple[str, str]]:
    """(name, the rest) of each variable that the file uses, as often as it does; a default may use one itself."""
    return re.findall(r"\$\{([A-Z_]+)((?:[^${}]|\$\{[^{}]*\})*)\}", FILE.read_text())


def documented() -> dict[str, str]:
    """Name and value of each variable of .env.example, including those that are commented out."""
    return dict(re.findall(r"^#?([A-Z_]+)=(.*)$", EXAMPLE.read_text(), re.MULTILINE))


def what_is_missing() -> str | None:
    """The reason why the loader can't be built here, or None if it can."""
    return None if shutil.which("go") else "there is no go on the PATH"


def load(folder: Path, environment: Mapping[str, str], text: str = "") -> subprocess.CompletedProcess[str]:
    """Load the file, or another `text` in its place, from a copy in `folder` without an operator's .env."""
    copy = folder / "deploy"
    shutil.copytree(DEPLOY, copy, symlinks=True, ignore=shutil.ignore_patterns(".env", "settings.env"))
    if text:
        (copy / FILE.name).write_text(text)
    clean = {"PATH": os.environ["PATH"], **environment}
    command = [str(_loader()), FILE.name]
    return subprocess.run(command, cwd=copy, env=clean, capture_output=True, text=True, timeout=60, check=False)


def loaded(folder: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """The file as compose resolves it; it must load."""
    result = load(folder, environment)
    assert result.returncode == 0, result.stderr
    return dict(json.loads(result.stdout))


def _loader() -> Path:
    """The program of tests/deploy/compose, built once. Safe to call from several processes at once."""
    source = {name: (LOADER / name).read_bytes() for name in ("main.go", "go.mod", "go.sum")}
    folder = cache_folder() / "compose-loader"
    folder.mkdir(exist_ok=True)
    with (cache_folder() / "compose-loader.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / ".built"
        wanted = b"\0".join(source.values())
        if not done.exists() or done.read_bytes() != wanted:
            for name, content in source.items():
                (folder / name).write_bytes(content)
            command = ["go", "build", "-o", "loader", "."]
            built = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
            assert built.returncode == 0, f"go could not build the loader: {built.stderr[-2000:]}"
            done.write_bytes(wanted)
    return folder / "loader"
