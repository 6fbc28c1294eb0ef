"""Account states: lock the accounts of a batch, read what the fold left, write what it leaves now."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from sqlalchemy import Row, TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

SignalTable = Literal["usage_states", "ticket_states", "survey_states"]

_LOCK = text("SELECT account_id FROM scores WHERE account_id = ANY(:ids) ORDER BY account_id FOR UPDATE")

_CREATE = text("""
    WITH ids AS (SELECT account_id FROM unnest(CAST(:ids AS text[])) AS account_id ORDER BY account_id),
         new_accounts AS (INSERT INTO accounts (account_id) SELECT account_id FROM ids ON CONFLICT DO NOTHING)
    INSERT INTO scores (account_id) SELECT account_id FROM ids ON CONFLICT DO NOTHING
""")

_READ = text("""
    SELECT s.account_id, u.state AS usage, t.state AS tickets, v.state AS surveys, a.registers AS attributes,
           s.score, s.band, s.sequence, s.rule_memory
    FROM unnest(CAST(:ids AS text[])) AS ids (account_id)
    JOIN scores s ON s.account_id = ids.account_id
    LEFT JOIN accounts a ON a.account_id = ids.account_id
    LEFT JOIN usage_states u ON u.account_id = ids.account_id
    LEFT JOIN ticket_states t ON t.account_id = ids.account_id
    LEFT JOIN survey_states v ON v.account_id = ids.account_id
""")


def _upsert(table: SignalTable) -> TextClause:
    return text(f"""
        INSERT INTO {table} (account_id, state)
        SELECT * FROM unnest(CAST(:ids AS text[]), CAST(:states AS bytea[]))
        ON CONFLICT (account_id) DO UPDATE SET state = excluded.state
    """)  # noqa: S608 - the table's name is one of three literals


_UPSERTS: dict[SignalTable, TextClause] = {
    "usage_states": _upsert("usage_states"),
    "ticket_states": _upsert("ticket_states"),
    "survey_states": _upsert("survey_states"),
}


async def lock(connection: AsyncConnection, account_ids: Iterable[str]) -> Sequence[Row[Any]]:
    """Lock the accounts until the transaction ends, creating those that are new, and read their stored state.

    Reading is a statement of its own: one that waits for a lock and joins would see the joined tables as they were
    before the wait (https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED).
    Locks are taken in one order everywhere; where new accounts still meet in a deadlock, Postgres ends one side and
    its transaction is tried again.
    """
    wanted = list(account_ids)
    locked = set((await connection.execute(_LOCK, {"ids": wanted})).scalars())
    if new := [account_id for account_id in wanted if account_id not in locked]:
        await connection.execute(_CREATE, {"ids": new})
        await connection.execute(_LOCK, {"ids": new})
    return await read(connection, wanted)


async def read(connection: AsyncConnection, account_ids: list[str]) -> Sequence[Row[Any]]:
    """The stored state of the accounts that exist, in no particular order; locks nothing."""
    return (await connection.execute(_READ, {"ids": account_ids})).all()


async def save(connection: AsyncConnection, table: SignalTable, states: dict[str, bytes]) -> None:
    """Write one signal's states, by account."""
    if states:
        await connection.execute(_UPSERTS[table], {"ids": list(states), "states": list(states.values())})
