"""JavaScript libraries that receivers verify webhooks with, and AsyncAPI's parser: installed once with npm, kept in the
tests' cache.
"""

import base64
import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parents[1] / "javascript"
SECONDS = 120


class Asked(NamedTuple):
    """A message as it was received, and the secret to verify it with."""

    secret: str
    headers: Mapping[str, str]
    body: bytes


def what_is_missing() -> str | None:
    """Why JavaScript can't run here, or None if it can."""
    missing = [name for name in ("node", "npm") if shutil.which(name) is None]
    return f"there is no {' and no '.join(missing)} on the PATH" if missing else None


def verified(asked: Sequence[Asked]) -> list[dict[str, Any]]:
    """For each message, by library, the payload that it verified; None where it refused."""
    given = [{**each._asdict(), "body": base64.b64encode(each.body).decode()} for each in asked]
    return _answer("verify.cjs", json.dumps(given))


def asyncapi_problems(document: str) -> list[dict[str, Any]]:
    """What AsyncAPI's parser has to say about a document: `severity` (0 is an error), `code`, `message`, `path`."""
    return _answer("asyncapi.cjs", document)


def _answer(program: str, asked: str) -> list[dict[str, Any]]:
    command = ["node", str(_installed() / program)]
    result = subprocess.run(command, input=asked.encode(), capture_output=True, timeout=SECONDS, check=False)
    assert result.returncode == 0, result.stderr.decode()
    return list(json.loads(result.stdout))


def _installed() -> Path:
    """A folder with the libraries, and the programs beside them. Safe to call from several processes at once."""
    wanted = (FOLDER / "package.json").read_bytes()
    cache = Path(os.environ.get("HEALTH_TEST_CACHE") or Path.home() / ".cache" / "account-health").resolve()
    folder = cache / "javascript"
    folder.mkdir(parents=True, exist_ok=True)
    with (cache / "javascript.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = folder / ".installed"
        if not done.exists() or done.read_bytes() != wanted:
            (folder / "package.json").write_bytes(wanted)
            _install(folder)
            done.write_bytes(wanted)
        for program in FOLDER.glob("*.cjs"):
            shutil.copy(program, folder)
    return folder


def _install(folder: Path) -> None:
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert result.returncode == 0, f"npm could not install the libraries: {result.stderr[-2000:]}"
