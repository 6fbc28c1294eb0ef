"""The JavaScript libraries that receivers verify webhooks with: installed once with npm, kept in the tests' cache."""

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
    folder = _installed()
    result = subprocess.run(
        ["node", str(folder / "verify.cjs")],
        input=json.dumps(given).encode(),
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    assert result.returncode == 0, result.stderr.decode()
    return list(json.loads(result.stdout))


def _installed() -> Path:
    """A folder with the libraries, and the program beside them. Safe to call from several processes at once."""
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
        shutil.copy(FOLDER / "verify.cjs", folder)
    return folder


def _install(folder: Path) -> None:
    command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert result.returncode == 0, f"npm could not install the libraries: {result.stderr[-2000:]}"
