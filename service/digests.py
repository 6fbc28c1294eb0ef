"""Digests: what a backfill or a published scorecard sets off is summed up in one alert, instead of a storm.

A rule with a dwell fires later, when that digest has been told: such alerts are summed up in one of their own.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.crossings import Crossing
from scoring.policy import Policy
from service import notices
from service.changes import Crossed
from service.storage import digests

PAUSE = timedelta(seconds=60)
"""A backfill, or a dwell, that has set off nothing for so long is told."""


@dataclass(frozen=True, slots=True)
class Together:
    """Which digests crossings belong into: that of their account, or `dwelt` if they have waited in bulk."""

    by_account: Mapping[str, UUID]
    dwelt: UUID | None

    def of(self, account_id: str, crossing: Crossing) -> UUID | None:
        """The digest that a crossing is summed up in; None if it is told for itself."""
        return self.by_account.get(account_id) or (self.dwelt if crossing.bulk else None)


async def digests_of(
    connection: AsyncConnection, crossed: Sequence[Crossed], policy: Policy, now: datetime, history: AbstractSet[str]
) -> Together:
    """The digests that crossings belong into. `history` are the accounts whose events were all loaded."""
    found: dict[str, UUID] = {}
    loaded: list[str] = []
    dwelt = False
    for each in crossed:
        if each.step.switched and policy.digest is not None:
            found[each.account_id] = UUID(policy.digest)
        elif each.step.crossings and each.account_id in history:
            loaded.append(each.account_id)
        else:
            dwelt = dwelt or any(crossing.bulk for crossing in each.step.crossings)
    if loaded:
        found |= dict.fromkeys(loaded, await digests.open_one(connection, "backfill", "", now))
    return Together(found, await digests.open_one(connection, "dwell", "", now) if dwelt else None)


def band_moves(crossed: Sequence[Crossed]) -> Counter[tuple[str, str]]:
    """How many of the accounts went from band to band when another scorecard began to judge them."""
    return Counter(
        (each.before.band, each.step.evaluation.band) for each in crossed if each.step.switched and each.before
    )


async def tell_paused(connection: AsyncConnection, now: datetime, base_url: str) -> int:
    """Tell the digests of backfills and dwells that have paused; how many."""
    found = await digests.paused(connection, now - PAUSE)
    for digest in found:
        await tell(connection, digest, now, base_url)
    return len(found)


async def tell(connection: AsyncConnection, digest: UUID, now: datetime, base_url: str) -> None:
    """Close a digest and write its alert, with its deliveries; nothing if that was done before."""
    closed = await digests.close(connection, digest, now)
    if closed is None:
        return
    rules = [dict(row._mapping) for row in await digests.crossings(connection, digest)]
    bands = [dict(row._mapping) for row in await digests.moves(connection, digest)]
    if not rules and not bands:
        return
    about: dict[str, Any] = {
        "id": digest,
        "cause": closed.cause,
        "subject": closed.subject,
        "since": closed.opened_at,
        "rules": rules,
        "bands": bands,
    }
    url = f"{base_url}/v1/alerts?digest={digest}"
    await notices.tell(connection, f"digest of a {closed.cause}", {"digest": about}, url=url, now=now)
