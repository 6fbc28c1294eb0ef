"""JavaScript in tests: libraries are installed once with npm and kept in the tests' cache."""

import base64
import fcntl
import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.cache import cache_folder

FOLDER = Path(__file__).parents[1] / "javascript"
SECONDS = 120


class Asked(NamedTuple):
    """A message as it was received, and the secret to verify it with."""

    secret: str
    headers: Mapping[str, str]
    body: bytes


def what_is_missing() -> str | None:
    """The reason why JavaScript can't run here, or None if it can."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    return f"there is no {' and no '.join(missing)} on the PATH" if missing else None


def verified(asked: Sequence[Asked]) -> list[dict[str, Any]]:
    """The payload that each library verified, per message; None if it refused."""
    given = [{**each._asdict(), "body": base64.b64encode(each.body).decode()} for each in asked]
    return list(answer_of(FOLDER / "verify.cjs", given))


def asyncapi_problems(document: str) -> list[dict[str, Any]]:
    """The findings of AsyncAPI's parser on a document: `severity` (0 is an error), `code`, `message`, `path`."""
    return list(answer_of(FOLDER / "asyncapi.cjs", json.loads(document)))


def answer_of(program: Path, given: object) -> Any:
    """The JSON output of a program for a JSON input. The package.json of its imports is beside it."""
    installed = _installed(program)
    result = subprocess.run(
        ["node", str(installed)], input=json.dumps(given).encode(), capture_output=True, timeout=SECONDS, check=False
    )
    assert result.returncode == 0, result.stderr.decode()
    return json.loads(result.stdout)


def _installed(program: Path) -> Path:
    """The program, beside the libraries that it imports. Safe to call from several processes at once."""
    wanted = (program.parent / "package.json").read_bytes()
    cache = cache_folder()
    folder = cache / program.parent.name
    folder.mkdir(parents=True, exist_ok=True)
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / ".installed"
        if not done.exists() or done.read_bytes() != wanted:
            (folder / "package.json").write_bytes(wanted)
            _install(folder)
            done.write_bytes(wanted)
        shutil.copy(program, folder)
    return folder / program.name


def _install(folder: Path) -> None:
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert result.returncode == 0, f"npm could not install the libraries: {result.stderr[-2000:]}"
