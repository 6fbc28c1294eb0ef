"""Alerts: the stored messages of crossings, written in the transaction that changed the score, and their metric."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, event, text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.observability import metrics
from service.storage.database.bulk_parameters import unnest_parameters

ALERT_COLUMNS = (
    "id, account_id, sequence, rule_id, rule, type, state, quiet, data, created_at, digest_id, acknowledged_at, "
    "acknowledged_by, snoozed_until"
)


class AlertRow(NamedTuple):
    """An alert to save; `data` is the JSON text that webhooks send as data. With `in_digest` it is only summed up in
    a digest.
    """

    id: UUID
    account_id: str | None
    sequence: int | None
    rule_id: UUID | None
    rule: str
    type: str
    state: str
    in_digest: bool
    data: str
    digest_id: UUID | None
    traceparent: str | None = None
    """The trace of the event that caused it, which its deliveries continue."""


_INSERT = text("""
    INSERT INTO alerts
        (id, account_id, sequence, rule_id, rule, type, state, quiet, data, digest_id, traceparent, created_at)
    SELECT new.*, :now FROM unnest(
        CAST(:id AS uuid[]), CAST(:account_id AS text[]), CAST(:sequence AS bigint[]), CAST(:rule_id AS uuid[]),
        CAST(:rule AS text[]), CAST(:type AS text[]), CAST(:state AS text[]), CAST(:in_digest AS bool[]),
        CAST(CAST(:data AS text[]) AS json[]), CAST(:digest_id AS uuid[]), CAST(:traceparent AS text[])
    ) AS new
""")


async def insert(connection: AsyncConnection, rows: Sequence[AlertRow], now: datetime) -> None:
    """Save alerts. The caller holds the locks of their accounts, so that `sequence` grows by one each time."""
    if rows:
        await connection.execute(_INSERT, {**unnest_parameters(rows), "now": now})


def count_when_committed(connection: AsyncConnection, states: Iterable[str]) -> None:
    """Count alerts of these states in the metrics if the transaction commits, and when it does."""
    counts = Counter(states)

    def count(_: Connection) -> None:
        for state, number in counts.items():
            metrics.ALERTS.labels(state).inc(number)

    if counts:
        event.listen(connection.sync_connection, "commit", count, once=True)


class EpisodeStart(NamedTuple):
    """The start of an episode: the alert that reported it, with the rule's name and the account's band then.

    `has_episode` says whether that alert named its episode, which those of earlier versions didn't.
    """

    id: UUID
    rule: str
    band: str | None
    created_at: datetime
    has_episode: bool


Incident = tuple[str, UUID]
"""An account, and a rule that fires for it."""

_EPISODE_STARTS = text("""
    SELECT asked.account_id, asked.rule_id, begun.id, begun.rule, begun.data ->> 'band' AS band, begun.created_at,
           begun.data -> 'episode' IS NOT NULL AS has_episode
    FROM unnest(CAST(:account_id AS text[]), CAST(:rule_id AS uuid[])) AS asked (account_id, rule_id)
    CROSS JOIN LATERAL (
        SELECT id, rule, data, created_at FROM alerts
        WHERE account_id = asked.account_id AND rule_id = asked.rule_id AND state = 'firing'
        ORDER BY sequence DESC LIMIT 1
    ) AS begun
""")


async def episode_starts(connection: AsyncConnection, incidents: Sequence[Incident]) -> dict[Incident, EpisodeStart]:
    """The start of the last episode of each incident; incidents without one are left out."""
    if not incidents:
        return {}
    values = {"account_id": [account for account, _ in incidents], "rule_id": [rule for _, rule in incidents]}
    found = await connection.execute(_EPISODE_STARTS, values)
    return {(account_id, rule_id): EpisodeStart(*rest) for account_id, rule_id, *rest in found}


def firing_of(account_id: str) -> str:
    """SQL for the firing alerts of the account that an SQL expression gives: the last one of each enabled rule,
    unless that is its end.
    """
    return f"""
        SELECT * FROM (
            SELECT DISTINCT ON (rule_id) {ALERT_COLUMNS} FROM alerts WHERE account_id = {account_id}
            ORDER BY rule_id, sequence DESC
        ) newest
        WHERE state = 'firing' AND EXISTS (SELECT 1 FROM alert_rules r WHERE r.id = rule_id AND r.enabled)"""  # noqa: S608 - made of this package's own text


_FIRING = text(f"{firing_of(':id')} ORDER BY sequence")


async def firing(connection: AsyncConnection, account_id: str) -> list[dict[str, Any]]:
    """The firing alerts of an account, in the order in which they were sent."""
    return [dict(row) for row in (await connection.execute(_FIRING, {"id": account_id})).mappings()]
