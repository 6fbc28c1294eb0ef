"""Replayed history: days before an account was live, written, replaced, and told from its live days."""

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.accounts import history
from service.storage.accounts.history import HistoryRow


class Beginning(NamedTuple):
    """The beginning of an account's live history, and what is known of it from elsewhere.

    `live_from` and `replayed_from` are day numbers: the first live day, and the first of those that were replayed, if
    any. `started_on` is the attribute's text.
    """

    account_id: str
    created_at: datetime
    started_on: str | None
    live_from: int
    replayed_from: int | None


# Nothing but the current run may be live, so its first day counts too. Accounts that were never evaluated have none.
_BEGINNINGS = text("""
    SELECT s.account_id, a.created_at, CAST(a.started_on AS text),
           least(s.since, s.day, past.live_from) - date '1970-01-01', past.replayed_from - date '1970-01-01'
    FROM unnest(CAST(:ids AS text[])) AS ids (account_id)
    JOIN scores s ON s.account_id = ids.account_id
    JOIN accounts a ON a.account_id = ids.account_id
    LEFT JOIN LATERAL (
        SELECT min(since) FILTER (WHERE NOT h.replayed) AS live_from,
               min(since) FILTER (WHERE h.replayed AND h.day >= CAST(:first_kept AS date)) AS replayed_from
        FROM history h WHERE h.account_id = ids.account_id
    ) past ON true
    WHERE s.day IS NOT NULL
    ORDER BY s.account_id COLLATE "C"
""")


async def beginnings(connection: AsyncConnection, account_ids: Sequence[str], first_kept: date) -> list[Beginning]:
    """The beginnings of those of the accounts that exist and have been evaluated, in order; locks nothing.

    Replayed runs that ended before the day `first_kept` have left retention, and don't count.
    """
    values = {"ids": list(account_ids), "first_kept": first_kept}
    return list(map(Beginning._make, await connection.execute(_BEGINNINGS, values)))


_LOCK = text("""
    SELECT account_id, rule_memory FROM scores WHERE account_id = ANY(CAST(:ids AS text[]))
    ORDER BY account_id COLLATE "C" FOR UPDATE
""")


async def lock(connection: AsyncConnection, account_ids: Sequence[str]) -> dict[str, bytes | None]:
    """Lock those of the accounts that exist until the transaction ends, in the order of all writers; returns the rules'
    memory of each.
    """
    return {row[0]: row[1] for row in await connection.execute(_LOCK, {"ids": list(account_ids)})}


_DELETE = text("DELETE FROM history WHERE account_id = ANY(CAST(:ids AS text[])) AND replayed")


async def replace(connection: AsyncConnection, account_ids: Collection[str], rows: Sequence[HistoryRow]) -> None:
    """Write the replayed runs of locked accounts in place of those that they have. Live ones stay as they are."""
    await connection.execute(_DELETE, {"ids": list(account_ids)})
    await history.insert(connection, rows, replayed=True)


_SAVE_MEMORY = text("""
    UPDATE scores SET rule_memory = new.rule_memory
    FROM unnest(CAST(:account_id AS text[]), CAST(:rule_memory AS bytea[])) AS new (account_id, rule_memory)
    WHERE scores.account_id = new.account_id
""")


async def save_memories(connection: AsyncConnection, memories: Mapping[str, bytes | None]) -> None:
    """Save the rules' memory of locked accounts, by account."""
    if memories:
        values = {"account_id": list(memories), "rule_memory": list(memories.values())}
        await connection.execute(_SAVE_MEMORY, values)


_MISSING = text("""
    SELECT account_id FROM unnest(CAST(:ids AS text[])) AS ids (account_id)
    WHERE NOT EXISTS (SELECT FROM scores s WHERE s.account_id = ids.account_id AND s.day IS NOT NULL)
""")


async def missing(connection: AsyncConnection, account_ids: Sequence[str]) -> list[str]:
    """Those of the accounts that don't exist, or have never been evaluated."""
    return list((await connection.execute(_MISSING, {"ids": list(account_ids)})).scalars())
