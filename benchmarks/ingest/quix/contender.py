"""Running the Quix Streams application, in a virtual environment that doesn't share the project's dependencies."""

import subprocess
import sys
from pathlib import Path

from benchmarks.harness.processes import ROOT, ContenderFailedError
from benchmarks.harness.terminal import say
from benchmarks.ingest.contenders import ContenderRun, FilledTopic, group_of, run_other

NAME = "Quix Streams"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
FOLDER = ROOT / "benchmarks" / ".venv-quix"
PYTHON = str(FOLDER / "bin" / "python")


def install() -> str:
    """Create the environment, at first and whenever the requirements have changed; returns Quix Streams' version."""
    stamp = FOLDER / ".installed"
    wanted = REQUIREMENTS.read_text()
    if not stamp.exists() or stamp.read_text() != wanted:
        say(f"Installing Quix Streams into {FOLDER.relative_to(ROOT)}, once: half a minute.")
        _run(sys.executable, "-m", "venv", "--clear", str(FOLDER))
        _run(PYTHON, "-m", "pip", "install", "--quiet", "-r", str(REQUIREMENTS))
        stamp.write_text(wanted)
    return _run(PYTHON, "-c", "from importlib.metadata import version; print(version('quixstreams'))").strip()


def _run(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise ContenderFailedError(f"{' '.join(command[:3])} failed:\n{result.stderr.strip()[-2000:]}")
    return result.stdout


def run(topic: FilledTopic, events: int) -> ContenderRun:
    """Fold the topic's first `events` into a database of its own, and check the scores."""
    url = topic.arena.create_database(f"quix_{topic.distribution}")
    arguments = [topic.arena.bootstrap, topic.usage, group_of(topic, NAME), "state", str(events)]
    command = [PYTHON, "-m", "benchmarks.ingest.quix.app", *arguments]
    return run_other(NAME, topic, command, url, {"HEALTH_DATABASE_URL": url}, events)
