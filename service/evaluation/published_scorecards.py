"""Scorecards in force, as documents, and warnings about a new one beside them."""

from typing import NamedTuple

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.scorecards.document import ScorecardDocument, ScorecardProblem
from scoring.scorecards.lint import overlaps, warnings
from service.storage.policy import scorecards


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
