"""Scorecards that ship with the service, to begin from: `scoring/starters/*.yaml`."""

from importlib import resources
from importlib.resources.abc import Traversable

_SUFFIX = ".yaml"


def starter_names() -> list[str]:
    """Their names, sorted."""
    return sorted(file.name.removesuffix(_SUFFIX) for file in _folder().iterdir() if file.name.endswith(_SUFFIX))


def starter_text(name: str) -> str:
    """The YAML of one, with its comments. Raises `FileNotFoundError` if there is no such starter."""
    return _folder().joinpath(f"{name}{_SUFFIX}").read_text()


def purpose(name: str) -> str:
    """What one is for: the line that it begins with."""
    return starter_text(name).partition("\n")[0].removeprefix("# ")


def _folder() -> Traversable:
    return resources.files("scoring").joinpath("starters")
