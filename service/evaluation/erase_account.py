"""Erases an account: receivers of a firing alert get its end, and then nothing is left."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from service.alerts.compose import episode_of
from service.runtime.ids import new_id
from service.storage.accounts import accounts
from service.storage.alerts import alerts, erased_episodes
from service.storage.alerts.alerts import AlertRow
from service.storage.alerts.erased_episodes import OpenEpisode
from service.targets import ROUTED


async def erase(connection: AsyncConnection, account_id: str, now: datetime) -> bool:
    """Delete everything about an account, in a transaction; False if there was nothing.

    The final messages keep the account's id until they have arrived: a week at most.
    """
    await accounts.lock(connection, account_id)
    episodes = await erased_episodes.open_episodes(connection, account_id)
    begun = [episode.begun.id for episode in episodes]
    owed = await erased_episodes.owed_ends(connection, begun, ROUTED.states, now) if begun else []
    if not await accounts.erase(connection, account_id):
        return False
    ends = {
        episode.begun.id: _end(account_id, episode, episode.last + number)
        for number, episode in enumerate(episodes, start=1)
        if any(each.alert_id == episode.begun.id for each in owed)
    }
    await alerts.insert(connection, list(ends.values()), now)
    alerts.count_when_committed(connection, [row.state for row in ends.values()])
    await erased_episodes.enqueue(connection, [each._replace(alert_id=ends[each.alert_id].id) for each in owed], now)
    return True


def _end(account_id: str, episode: OpenEpisode, sequence: int) -> AlertRow:
    """The alert that ends an episode: of the account, only its id is left."""
    data: dict[str, Any] = {
        "account_id": account_id,
        "account_name": None,
        "rule": episode.rule,
        "rule_id": str(episode.rule_id),
        "state": "resolved",
        "score": None,
        "previous_score": None,
        "band": "unknown",
        "previous_band": "unknown",
        "threshold": None,
        "drivers": [],
        "override": None,
        "episode": episode_of(episode.begun, episode.rule_id),
        "sequence": sequence,
        "url": "",
    }
    return AlertRow(
        id=new_id(),
        account_id=None,
        sequence=None,
        rule_id=episode.rule_id,
        rule=episode.rule,
        type="health.threshold.resolved",
        state="resolved",
        in_digest=False,
        data=msgspec.json.encode(data).decode(),
        digest_id=None,
    )
