"""Account states: lock the accounts of a batch, read their stored states, save the new ones."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from msgspec import Struct
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.scorecards.scorecard import Band
from service.storage.database.bulk_parameters import joined_texts, unnest_parameters

SignalTable = Literal["ticket_states", "survey_states"]


class StoredAccount(Struct, frozen=True, gc=False):
    """An account as stored: its encoded states, and its last score.

    The score's fields are null until first evaluated; `day` and `since` are day numbers, `override` is encoded.
    `source` sent the newest usage.
    """

    account_id: str
    usage: bytes | None = None
    source: str | None = None
    score: float | None = None
    band: Band = "unknown"
    coverage: float = 0.0
    day: int | None = None
    since: int | None = None
    scorecard: str | None = None
    scorecard_version: int | None = None
    readings: str | None = None
    journal: bytes | None = None
    override: str | None = None
    rule_memory: bytes | None = None
    sequence: int = 0
    tickets: bytes | None = None
    surveys: bytes | None = None
    attributes: bytes | None = None


class StateRow(NamedTuple):
    """One signal's state to save. `newest_at` is the time of its newest event in microseconds, 0 for none."""

    account_id: str
    state: bytes
    newest_at: int


_HOT = """
    s.account_id, s.usage, s.usage_source, s.score, s.band, s.coverage, s.day - date '1970-01-01',
    s.since - date '1970-01-01', s.scorecard, s.scorecard_version, CAST(s.readings AS text), s.journal,
    CAST(s.override AS text), s.rule_memory, s.sequence
"""

# Reading the rows that are locked anyway takes a quarter less than locking them, then reading them: Postgres finds each
# row once.
_LOCK = text(f"""
    SELECT {_HOT} FROM scores s WHERE account_id = ANY(CAST((SELECT string_to_array(:ids, chr(31))) AS text[]))
    ORDER BY account_id COLLATE "C" FOR UPDATE
""")  # noqa: S608 - made of this module's own text

_CREATE = text("""
    INSERT INTO accounts (account_id)
    SELECT account_id FROM unnest(string_to_array(:ids, chr(31))) AS account_id ORDER BY account_id COLLATE "C"
    ON CONFLICT DO NOTHING RETURNING account_id
""")

_COMPLETE = text("""
    INSERT INTO scores (account_id)
    SELECT account_id FROM unnest(string_to_array(:ids, chr(31))) AS account_id ORDER BY account_id COLLATE "C"
    ON CONFLICT DO NOTHING
""")

_OTHERS = """
    LEFT JOIN accounts a ON a.account_id = ids.account_id
    LEFT JOIN ticket_states t ON t.account_id = ids.account_id
    LEFT JOIN survey_states v ON v.account_id = ids.account_id
"""

# Many accounts have none of these, and then there is nothing to send.
_READ_OTHERS = text(f"""
    SELECT ids.account_id, t.state, v.state, a.registers
    FROM unnest(string_to_array(:ids, chr(31))) AS ids (account_id) {_OTHERS}
    WHERE (t.state, v.state, a.registers) IS DISTINCT FROM (NULL, NULL, NULL)
""")  # noqa: S608 - made of this module's own text

_READ = text(f"""
    SELECT {_HOT}, t.state, v.state, a.registers
    FROM unnest(string_to_array(:ids, chr(31))) AS ids (account_id)
    JOIN scores s ON s.account_id = ids.account_id {_OTHERS}
""")  # noqa: S608 - made of this module's own text


def _upsert(table: SignalTable) -> TextClause:
    return text(f"""
        INSERT INTO {table} (account_id, state, newest_at)
        SELECT account_id, state, to_timestamp(nullif(newest_at, 0) / 1000000.0::float8)
        FROM unnest(
            string_to_array(:account_id, chr(31)), CAST(:state AS bytea[]), CAST(CAST(:newest_at AS text) AS bigint[])
        ) AS new (account_id, state, newest_at)
        ON CONFLICT (account_id) DO UPDATE SET state = excluded.state, newest_at = excluded.newest_at
    """)  # noqa: S608 - the table's name is one of two literals


_UPSERTS: dict[SignalTable, TextClause] = {
    "ticket_states": _upsert("ticket_states"),
    "survey_states": _upsert("survey_states"),
}


class LockedAccounts(NamedTuple):
    """Locked accounts as stored, in no particular order, and the ids of those that the transaction has just created."""

    accounts: list[StoredAccount]
    created: set[str]


async def lock(connection: AsyncConnection, account_ids: list[str]) -> LockedAccounts:
    """Lock the accounts, given in order, until the transaction ends, and read them; missing ones are created.

    The new ones have no state, and no score: the caller must insert one. Until then, others that want them wait for the
    transaction at the insert into `accounts`.

    What the lock protects in other tables is read by a second statement: one that waits for a lock and joins would see
    the joined tables as they were before the wait
    (https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED). Locks are taken in one order
    everywhere, that of Python's text, as a batch locks its accounts part by part. Two batches with the same new account
    may still deadlock: Postgres ends one, and its transaction is tried again.
    """
    found = await _rows(connection, _LOCK, account_ids)
    created: set[str] = set()
    if len(found) < len(account_ids):
        known = {row[0] for row in found}
        missing = [account_id for account_id in account_ids if account_id not in known]
        created = set((await connection.execute(_CREATE, {"ids": joined_texts(missing)})).scalars())
        if others := [account_id for account_id in missing if account_id not in created]:
            # Another process has created them meanwhile, and has committed since.
            await connection.execute(_COMPLETE, {"ids": joined_texts(others)})
            found += await _rows(connection, _LOCK, others)
    ids = [row[0] for row in found]
    beside = {row[0]: row[1:] for row in await _rows(connection, _READ_OTHERS, ids)} if ids else {}
    accounts = [StoredAccount(*row, *beside.get(row[0], ())) for row in found]
    return LockedAccounts([*accounts, *map(StoredAccount, created)], created)


async def read(connection: AsyncConnection, account_ids: list[str]) -> list[StoredAccount]:
    """The stored state of the accounts that exist, in no particular order; locks nothing."""
    return [StoredAccount(*row) for row in await _rows(connection, _READ, account_ids)]


async def _rows(connection: AsyncConnection, statement: TextClause, account_ids: list[str]) -> list[Sequence[Any]]:
    """The driver's rows: wrapping them in SQLAlchemy's costs a microsecond each."""
    result = await connection.execute(statement, {"ids": joined_texts(account_ids)})
    assert result.cursor is not None
    rows = list(result.cursor.fetchall())
    result.close()
    return rows


async def save_signal(connection: AsyncConnection, table: SignalTable, rows: Sequence[StateRow]) -> None:
    """Save one signal's states."""
    if rows:
        await connection.execute(_UPSERTS[table], unnest_parameters(rows, ["account_id"], ["newest_at"]))
