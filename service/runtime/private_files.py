"""Secrets kept in files that only their owner can read."""

import os
from collections.abc import Callable
from pathlib import Path


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    unfinished = path.with_name(f"{path.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    unfinished.replace(path)


def read_or_create_private(path: Path, make: Callable[[], str]) -> str:
    """The text in `path`, which the first call creates."""
    if not path.exists():
        write_private(path, make())
    return path.read_text()
