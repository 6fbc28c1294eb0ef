"""Scorecards that ship with the service as starting points: `scoring/starters/*.yaml`."""

from importlib import resources
from importlib.resources.abc import Traversable

_SUFFIX = ".yaml"


def starter_names() -> list[str]:
    """The names of the starters, sorted."""
    return sorted(file.name.removesuffix(_SUFFIX) for file in _folder().iterdir() if file.name.endswith(_SUFFIX))


def starter_text(name: str) -> str:
    """The YAML of a starter, with its comments. Raises `FileNotFoundError` if there is none of that name."""
    return _folder().joinpath(f"{name}{_SUFFIX}").read_text()


def purpose(name: str) -> str:
    """The purpose of a starter: its first line."""
    return starter_text(name).partition("\n")[0].removeprefix("# ")


def _folder() -> Traversable:
    return resources.files("scoring").joinpath("starters")
