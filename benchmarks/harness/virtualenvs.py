"""Virtual environments besides the project's own, for programs that must not share its dependencies."""

import subprocess
import sys
from pathlib import Path

from benchmarks.harness.machine import ROOT
from benchmarks.harness.processes import ContenderFailedError
from benchmarks.harness.terminal import say

FOLDER = ROOT / "benchmarks"


def python_of(name: str, requirements: Path) -> Path:
    """The Python of `benchmarks/.venv-NAME`, created at first and whenever its requirements have changed."""
    folder = FOLDER / f".venv-{name}"
    stamp = folder / ".installed"
    wanted = requirements.read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        say(f"Installing {name} into {folder.relative_to(FOLDER.parent)}, once: half a minute.")
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        _run(str(folder / "bin" / "pip"), "install", "--quiet", "-r", str(requirements))
        stamp.write_text(wanted)
    return folder / "bin" / "python"


def version_of(python: Path, package: str) -> str:
    """The version of a package in an environment."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def _run(*command: str) -> None:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ContenderFailedError(f"{' '.join(command[:3])} failed:\n{result.stderr.strip()[-2000:]}")
