"""Publishes scorecards, and has all accounts evaluated by them."""

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.scorecards.document import ScorecardDocument
from service.evaluation.reevaluation import begin_for_calibration, begin_for_scorecard
from service.storage.policy import scorecards


class PublishedScorecard(NamedTuple):
    """The version of a document, and the re-evaluation that was begun for it; None if it was published before."""

    version: int
    reevaluation: UUID | None


async def publish(connection: AsyncConnection, document: ScorecardDocument, now: datetime) -> PublishedScorecard:
    """Publish a checked document as the newest version of its name, in a transaction, and begin a re-evaluation.

    The same document again keeps its version, and nothing is evaluated.
    """
    version, is_new = await scorecards.publish(connection, document)
    if not is_new:
        return PublishedScorecard(version, None)
    subject = f"{document.name} version {version}"
    before = await scorecards.get(connection, document.name, version - 1)
    if before is not None and document.scores_like(msgspec.convert(before["document"], ScorecardDocument)):
        return PublishedScorecard(version, await begin_for_calibration(connection, subject, now))
    return PublishedScorecard(version, await begin_for_scorecard(connection, subject, now))
