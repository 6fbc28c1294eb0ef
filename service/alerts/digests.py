"""Digests: the alerts that a backfill, a published scorecard or a changed rule causes are summed up in one.

A rule with a dwell fires later, when that digest has been sent: such alerts go into another digest.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.rules.crossings import Crossing
from scoring.rules.policy import Policy
from service.alerts import operator_notices
from service.alerts.crossed_account import CrossedAccount
from service.storage.alerts import digest_parts, digests
from service.storage.alerts.digest_parts import EndpointCrossings, EndpointMoves
from service.storage.alerts.digests import BandMove
from service.targets import ROUTED

PAUSE = timedelta(seconds=60)
"""A digest of a backfill or dwell is sent once nothing was added for this long."""


@dataclass(frozen=True, slots=True)
class DigestAssignment:
    """The digest that each crossing belongs to: that of its account, `changed` if the change of its rule caused it, or
    `dwelt` if it waited in bulk.
    """

    by_account: Mapping[str, UUID]
    changed: UUID | None
    dwelt: UUID | None

    def digest_of(self, account_id: str, crossing: Crossing) -> UUID | None:
        """The digest that sums up a crossing; None if its alert is delivered by itself."""
        if own := self.by_account.get(account_id):
            return own
        if crossing.by_change and self.changed:
            return self.changed
        return self.dwelt if crossing.bulk else None


async def assign_digests(
    connection: AsyncConnection,
    crossed: Sequence[CrossedAccount],
    policy: Policy,
    now: datetime,
    backfill: AbstractSet[str],
) -> DigestAssignment:
    """Assign crossings to digests, opening them as needed. `backfill` are the accounts whose events are all loaded
    history.
    """
    found: dict[str, UUID] = {}
    backfilled: list[str] = []
    dwelt = False
    for each in crossed:
        if each.step.switched and policy.digest is not None:
            found[each.account_id] = UUID(policy.digest)
        elif each.step.crossings and each.account_id in backfill:
            backfilled.append(each.account_id)
        else:
            dwelt = dwelt or any(crossing.bulk and not crossing.by_change for crossing in each.step.crossings)
    if backfilled:
        found |= dict.fromkeys(backfilled, await digests.open_digest(connection, "backfill", "", now))
    changed = UUID(policy.rule_digest) if policy.rule_digest is not None else None
    return DigestAssignment(found, changed, await digests.open_digest(connection, "dwell", "", now) if dwelt else None)


def band_moves(crossed: Sequence[CrossedAccount]) -> Counter[BandMove]:
    """The number of accounts per band before and after, among those that another scorecard now applies to."""
    return Counter(
        BandMove(each.before.band, each.step.evaluation.band, *each.about)
        for each in crossed
        if each.step.switched and each.before
    )


async def send_settled(connection: AsyncConnection, now: datetime, base_url: str) -> int:
    """Send the digests of backfills and dwells that have settled; returns their number."""
    found = await digests.paused(connection, now - PAUSE)
    for digest in found:
        await send(connection, digest, now, base_url)
    return len(found)


async def send(connection: AsyncConnection, digest: UUID, now: datetime, base_url: str) -> None:
    """Close a digest and write its alert and deliveries; does nothing if that was done before."""
    closed = await digests.close(connection, digest, now)
    if closed is None:
        return
    rules = [dict(row._mapping) for row in await digests.crossings(connection, digest)]
    bands = [dict(row._mapping) for row in await digests.moves(connection, digest)]
    if not rules and not bands:
        return
    about = {"id": digest, "cause": closed.cause, "subject": closed.subject, "since": closed.opened_at}
    if closed.cause == "rule":
        about["change"] = closed.change or "changed"  # begun by a version that doesn't store it
    what, url = f"digest of a {closed.cause}", f"{base_url}/v1/alerts?digest={digest}"

    def data(part: DigestPart) -> str:
        summed_up = {**about, "rules": part.rules, "bands": part.bands}
        return operator_notices.notice_data(what, {"digest": summed_up}, url=url)

    whole = data(DigestPart(rules, bands))
    heard = parts(
        await digest_parts.crossings(connection, digest), await digest_parts.moves(connection, digest, ROUTED.states)
    )
    alert = await operator_notices.write(connection, what, whole, now)
    texts = {endpoint: data(part) for endpoint, part in heard.items()}
    sent = {endpoint: None if text == whole else text for endpoint, text in texts.items()}
    await digest_parts.enqueue(connection, alert, sent, now)


@dataclass(slots=True)
class DigestPart:
    """The changes of rules and of bands, in the form of messages."""

    rules: list[dict[str, Any]] = field(default_factory=list)
    bands: list[dict[str, Any]] = field(default_factory=list)


def parts(crossings: Sequence[EndpointCrossings], moves: Sequence[EndpointMoves]) -> dict[UUID, DigestPart]:
    """The part of each endpoint. One with filters gets nothing if nothing of its own has changed."""
    found: defaultdict[UUID, DigestPart] = defaultdict(DigestPart)
    for rule in crossings:
        found[rule.endpoint_id].rules.append({"rule": rule.rule, "firing": rule.firing, "resolved": rule.resolved})
    concerned = {*found, *(move.endpoint_id for move in moves if move.of_all or move.band_before != move.band_after)}
    for move in moves:
        if move.endpoint_id in concerned:
            band = {"band_before": move.band_before, "band_after": move.band_after, "accounts": move.accounts}
            found[move.endpoint_id].bands.append(band)
    return dict(found)
