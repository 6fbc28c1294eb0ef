"""The fingerprint of the code that decodes and judges events: what another version worked out isn't used again."""

from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from xxhash import xxh3_64


@cache
def code_fingerprint() -> str:
    """A digest of all modules of `scoring` and `service`."""
    fingerprint = xxh3_64()
    for package in ("scoring", "service"):
        _add(fingerprint, resources.files(package), package)
    return fingerprint.hexdigest()


def _add(fingerprint: xxh3_64, folder: Traversable, name: str) -> None:
    for each in sorted(folder.iterdir(), key=lambda each: each.name):
        path = f"{name}/{each.name}"
        if each.is_dir():
            _add(fingerprint, each, path)
        elif each.name.endswith(".py"):
            fingerprint.update(path.encode())
            fingerprint.update(each.read_bytes())
