"""The wheel, which the image installs: it holds all that runs, and runs where the repository isn't."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.image import PACKAGES, ROOT, build, install
from tests.support.postgres import PostgresServer

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def run(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Python with the wheel's packages, not this repository's, in an empty folder."""
    site, folder = tmp_path_factory.mktemp("site"), tmp_path_factory.mktemp("empty")
    install(wheel, site)

    def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1", **environment},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    where = python("-c", "import service, migrations; print(service.__file__, migrations.__file__)")
    assert where.stdout.count(str(site)) == 2, where
    return python


def test_it_holds_every_file_of_the_packages(wheel: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *PACKAGES],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        entry = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "account-health = service.cli.main:main" in archive.read(entry).decode()
    files = set(listed.stdout.split())
    assert {"migrations/script.py.mako", "scoring/starters/default.yaml"} <= files
    assert held == files


def test_its_command_runs(run: Run) -> None:
    shown = run("-P", "-m", "service", "--help")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "migrate" in shown.stdout
    starter = run("-P", "-m", "service", "scorecard", "starter", "onboarding")
    assert starter.stdout == (ROOT / "scoring" / "starters" / "onboarding.yaml").read_text()


def test_it_migrates_a_database_by_what_it_brings(run: Run, postgres_server: PostgresServer) -> None:
    url = postgres_server.create_empty()
    try:
        done = run("-P", "-m", "service", "migrate", HEALTH_DATABASE_URL=url)
        assert (done.returncode, done.stdout) == (0, "The database is up to date.\n"), done.stderr
        asked = run("-P", "-m", "service", "scorecard", "list", HEALTH_DATABASE_URL=url)
        assert "default" in asked.stdout, asked.stderr
    finally:
        postgres_server.drop(url)
