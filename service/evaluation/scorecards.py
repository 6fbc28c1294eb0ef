"""Scorecards: those in force, warnings about a new one beside them, and the starters that ship with the service."""

from importlib import resources
from importlib.resources.abc import Traversable
from typing import NamedTuple

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.scorecards.document import ScorecardDocument, ScorecardProblem
from scoring.scorecards.lint import overlaps, warnings
from service.storage.policy import scorecards

_SUFFIX = ".yaml"


class InForce(NamedTuple):
    """The newest version of a scorecard."""

    version: int
    document: ScorecardDocument


async def in_force(connection: AsyncConnection) -> dict[str, InForce]:
    """The newest version of every scorecard, by name."""
    newest = [
        InForce(version, msgspec.convert(document, ScorecardDocument))
        for version, document in await scorecards.newest(connection)
    ]
    return {each.document.name: each for each in newest}


async def all_warnings(connection: AsyncConnection, document: ScorecardDocument) -> list[ScorecardProblem]:
    """Warnings about a checked document, by itself and beside those in force."""
    others = [each.document for each in (await in_force(connection)).values()]
    return [*warnings(document), *overlaps(document, others)]


def starter_names() -> list[str]:
    """The names of the starters, `scoring/starters/*.yaml`, sorted."""
    return sorted(file.name.removesuffix(_SUFFIX) for file in _folder().iterdir() if file.name.endswith(_SUFFIX))


def starter_text(name: str) -> str:
    """The YAML of a starter, with its comments. Raises `FileNotFoundError` if there is none of that name."""
    return _folder().joinpath(f"{name}{_SUFFIX}").read_text()


def purpose(name: str) -> str:
    """The purpose of a starter: its first line."""
    return starter_text(name).partition("\n")[0].removeprefix("# ")


def _folder() -> Traversable:
    return resources.files("scoring").joinpath("starters")
