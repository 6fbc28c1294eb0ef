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

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.crossings import Crossing
from scoring.policy import Policy
from service.changes import Crossed
from service.delivery.targets import ACCOUNTS_ONLY
from service.ids import new_id
from service.storage import alerts, deliveries, digests
from service.storage.alerts import AlertRow

TYPE = "health.digest"
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
    row = _alert(digest, about, base_url)
    await alerts.insert(connection, [row], now)
    await deliveries.enqueue(connection, [row.id], now, accounts_only=ACCOUNTS_ONLY)


def _alert(digest: UUID, about: dict[str, Any], base_url: str) -> AlertRow:
    nothing = dict.fromkeys(
        ("account_id", "account_name", "score", "previous_score", "band", "previous_band", "threshold", "sequence")
    )
    rule = f"digest of a {about['cause']}"
    url = f"{base_url}/v1/alerts?digest={digest}"
    data: dict[str, Any] = {**nothing, "rule": rule, "state": "digest", "drivers": [], "url": url, "digest": about}
    return AlertRow(
        id=new_id(),
        account_id=None,
        sequence=None,
        rule_id=None,
        rule=rule,
        type=TYPE,
        state="digest",
        quiet=False,
        data=msgspec.json.encode(data).decode(),
        digest_id=None,
    )
