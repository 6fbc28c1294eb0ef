"""Ends the episodes of erased accounts: the alerts that report it, and the endpoints to send them to.

These alerts belong to no account, so that they don't affect a new account with the same id; their data names the old
one until they have arrived.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Text, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.alerts.alerts import EpisodeStart
from service.storage.alerts.routing import RESOLVED, type_condition

LONGEST_KEPT = timedelta(days=7)
"""The time for which an undelivered message of an end is stored; attempts cease after a little more than three days."""


class OpenEpisode(NamedTuple):
    """An episode that isn't over: its rule, the sequence of the account's last alert, and its start."""

    rule: str
    rule_id: UUID
    last: int
    begun: EpisodeStart


_OPEN = text("""
    SELECT newest.rule_id, newest.id, newest.rule, newest.data ->> 'band' AS band, newest.created_at,
           newest.data -> 'episode' IS NOT NULL AS has_episode, newest.state, max(newest.sequence) OVER () AS last
    FROM (
        SELECT DISTINCT ON (rule_id) * FROM alerts WHERE account_id = :account_id AND rule_id IS NOT NULL
        ORDER BY rule_id, sequence DESC
    ) AS newest
    ORDER BY newest.sequence
""")


async def open_episodes(connection: AsyncConnection, account_id: str) -> list[OpenEpisode]:
    """The episodes of an account that aren't over, in the order of their starts."""
    found = await connection.execute(_OPEN, {"account_id": account_id})
    return [
        OpenEpisode(
            row.rule, row.rule_id, row.last, EpisodeStart(row.id, row.rule, row.band, row.created_at, row.has_episode)
        )
        for row in found
        if row.state == "firing"
    ]


_OWED = text(f"""
    SELECT alert.id AS alert_id, endpoint.id AS endpoint_id, greatest(:now, max(sending.leased_until)) AS due_at
    FROM alerts AS alert JOIN webhook_endpoints AS endpoint ON true
    LEFT JOIN deliveries AS first ON first.alert_id = alert.id AND first.endpoint_id = endpoint.id
    LEFT JOIN deliveries AS sending ON sending.id = first.id AND sending.state = 'pending'
    WHERE alert.id = ANY(:ids)
      AND (endpoint.id = ANY(alert.ends_for) OR endpoint.target = ANY(:states) AND first.id IS NOT NULL
           OR {type_condition(RESOLVED)} AND (first.id IS NOT NULL OR endpoint.id = ANY(alert.digest_for)))
    GROUP BY alert.id, endpoint.id
""").bindparams(bindparam("ids", type_=ARRAY(Uuid)), bindparam("states", type_=ARRAY(Text)))  # noqa: S608 - as above


class OwedEnd(NamedTuple):
    """An endpoint that must learn of the end of an alert's episode, and when: not while the beginning is still being
    sent.
    """

    alert_id: UUID
    endpoint_id: UUID
    due_at: datetime


async def owed_ends(
    connection: AsyncConnection, alert_ids: Sequence[UUID], states: Collection[str], now: datetime
) -> list[OwedEnd]:
    """The endpoints that were sent the beginnings."""
    values = {"ids": list(alert_ids), "states": list(states), "now": now}
    return [OwedEnd(*row) for row in await connection.execute(_OWED, values)]


_ENQUEUE = text("""
    INSERT INTO deliveries (id, alert_id, endpoint_id, due_at, created_at)
    SELECT gen_random_uuid(), new.alert_id, endpoint.id, new.due_at, :now
    FROM unnest(CAST(:alert_id AS uuid[]), CAST(:endpoint_id AS uuid[]), CAST(:due_at AS timestamptz[]))
         AS new (alert_id, endpoint_id, due_at)
    JOIN webhook_endpoints AS endpoint ON endpoint.id = new.endpoint_id
    FOR KEY SHARE OF endpoint
""")


async def enqueue(connection: AsyncConnection, ends: Sequence[OwedEnd], now: datetime) -> None:
    """Save the deliveries; `alert_id` is that of the alert that reports the end."""
    if ends:
        alert_ids, endpoint_ids, due_at = map(list, zip(*ends, strict=True))
        values = {"alert_id": alert_ids, "endpoint_id": endpoint_ids, "due_at": due_at, "now": now}
        await connection.execute(_ENQUEUE, values)


_DELETE_FINISHED = text("""
    DELETE FROM alerts
    WHERE account_id IS NULL AND state = 'resolved'
      AND (created_at < :before
           OR NOT EXISTS (SELECT FROM deliveries WHERE alert_id = alerts.id AND deliveries.state = 'pending'))
""")


async def delete_finished(connection: AsyncConnection, now: datetime) -> int:
    """Delete the alerts that have arrived, or were given up; returns their number."""
    return (await connection.execute(_DELETE_FINISHED, {"before": now - LONGEST_KEPT})).rowcount
