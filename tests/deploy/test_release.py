"""`make release-check`: the wheel and the sdist, and the commands of the wheel where nothing else is installed."""

import os
import subprocess
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support.image import ROOT, RUNTIME_LOCK, build, pinned

pytestmark = [
    pytest.mark.skipif(not os.environ.get("RELEASE_CHECK"), reason="it downloads every dependency: make release-check"),
    pytest.mark.timeout(900),
]
DIST = ROOT / "dist"


@pytest.fixture(scope="module")
def wheel() -> Path:
    return build("wheel", DIST)


@pytest.fixture(scope="module")
def sdist() -> Path:
    return build("sdist", DIST)


@pytest.fixture(scope="module")
def commands(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The commands of an environment that holds the wheel and what its metadata asks for, without extras."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True)
    constraints = folder / "constraints.txt"
    constraints.write_text("".join(f"{name}=={version}\n" for name, (version, _) in pinned(RUNTIME_LOCK).items()))
    pip: list[str | Path] = [
        folder / "bin/pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--constraint",
        constraints,
    ]
    done = subprocess.run([*pip, wheel], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder / "bin"


@pytest.mark.parametrize("arguments", [["--help"], ["demo", "--help"]], ids=" ".join)
def test_the_command_runs_where_only_the_wheel_is_installed(
    commands: Path, arguments: list[str], tmp_path: Path
) -> None:
    shown = subprocess.run(
        [commands / "account-health", *arguments],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    assert ("--reset" if "demo" in arguments else "migrate") in shown.stdout


def test_without_its_extra_the_demo_says_what_to_install(commands: Path, tmp_path: Path) -> None:
    asked = subprocess.run(
        [commands / "account-health", "demo"], cwd=tmp_path, env={}, capture_output=True, text=True, check=False
    )
    assert asked.returncode == 1
    assert ".[embedded]" in asked.stderr
    assert "Traceback" not in asked.stderr


def test_the_sdist_builds_the_same_wheel(wheel: Path, sdist: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    [source] = tmp_path.iterdir()
    again = build("wheel", tmp_path / "dist", source)
    with zipfile.ZipFile(wheel) as one, zipfile.ZipFile(again) as other:
        assert {each.filename: each.CRC for each in one.infolist()} == {
            each.filename: each.CRC for each in other.infolist()
        }
