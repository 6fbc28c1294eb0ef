"""Account states: lock the accounts of a batch, read their stored states, save the new ones."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

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
    tickets: bytes | None = None
    surveys: bytes | None = None
    attributes: bytes | None = None
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


class StateRow(NamedTuple):
    """One signal's state to save. `newest_at` is the time of its newest event in microseconds, 0 for none."""

    account_id: str
    state: bytes
    newest_at: int


class UsageRow(NamedTuple):
    """The state of usage to save, with the source of its newest event."""

    account_id: str
    state: bytes
    newest_at: int
    source: str


# Locks the existing accounts and returns the others: mostly none, so there is little to send. A CTE runs as far as it's
# read; here that is to its end, as each id either finds its row there or reads on.
_LOCK = text("""
    WITH locked AS MATERIALIZED (
        SELECT account_id FROM scores WHERE account_id = ANY(CAST((SELECT string_to_array(:ids, chr(31))) AS text[]))
        ORDER BY account_id COLLATE "C" FOR UPDATE
    )
    SELECT account_id FROM unnest(string_to_array(:ids, chr(31))) AS account_id
    WHERE account_id NOT IN (SELECT account_id FROM locked)
""")

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

_READ = text("""
    SELECT s.account_id, u.state, t.state, v.state, a.registers, u.source,
           s.score, s.band, s.coverage, s.day - date '1970-01-01', s.since - date '1970-01-01', s.scorecard,
           s.scorecard_version, CAST(s.readings AS text),
           s.journal, CAST(s.override AS text), s.rule_memory, s.sequence
    FROM unnest(string_to_array(:ids, chr(31))) AS ids (account_id)
    JOIN scores s ON s.account_id = ids.account_id
    LEFT JOIN accounts a ON a.account_id = ids.account_id
    LEFT JOIN usage_states u ON u.account_id = ids.account_id
    LEFT JOIN ticket_states t ON t.account_id = ids.account_id
    LEFT JOIN survey_states v ON v.account_id = ids.account_id
""")


def _upsert(table: SignalTable) -> TextClause:
    return text(f"""
        INSERT INTO {table} (account_id, state, newest_at)
        SELECT account_id, state, to_timestamp(nullif(newest_at, 0) / 1000000.0::float8)
        FROM unnest(
            string_to_array(:account_id, chr(31)), CAST(:state AS bytea[]), CAST(CAST(:newest_at AS text) AS bigint[])
        ) AS new (account_id, state, newest_at)
        ON CONFLICT (account_id) DO UPDATE SET state = excluded.state, newest_at = excluded.newest_at
    """)  # noqa: S608 - the table's name is one of two literals


_UPSERT_USAGE = text("""
    INSERT INTO usage_states (account_id, state, newest_at, source)
    SELECT account_id, state, to_timestamp(nullif(newest_at, 0) / 1000000.0::float8), source
    FROM unnest(
        string_to_array(:account_id, chr(31)), CAST(:state AS bytea[]), CAST(CAST(:newest_at AS text) AS bigint[]),
        CAST(CAST(:source AS text) AS text[])
    ) AS new (account_id, state, newest_at, source)
    ON CONFLICT (account_id) DO UPDATE
    SET state = excluded.state, newest_at = excluded.newest_at, source = excluded.source
""")

_UPSERTS: dict[SignalTable, TextClause] = {
    "ticket_states": _upsert("ticket_states"),
    "survey_states": _upsert("survey_states"),
}


async def lock(connection: AsyncConnection, account_ids: list[str]) -> set[str]:
    """Lock the accounts, given in order, until the transaction ends; returns those that it has just created.

    The new ones have no state to read, and no score: the caller must insert one. Until then, others that want them wait
    for the transaction at the insert into `accounts`.

    Reading is a separate statement: one that waits for a lock and joins would see the joined tables as they were before
    the wait (https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED). Locks are taken in one
    order everywhere, that of Python's text, as a batch locks its accounts part by part. Two batches with the same new
    account may still deadlock: Postgres ends one, and its transaction is tried again.
    """
    missing = list((await connection.execute(_LOCK, {"ids": joined_texts(account_ids)})).scalars())
    if not missing:
        return set()
    created = set((await connection.execute(_CREATE, {"ids": joined_texts(missing)})).scalars())
    if others := [account_id for account_id in missing if account_id not in created]:
        # Another process has created them meanwhile, and has committed since.
        await connection.execute(_COMPLETE, {"ids": joined_texts(others)})
        await connection.execute(_LOCK, {"ids": joined_texts(others)})
    return created


def new_account(account_id: str) -> StoredAccount:
    """The state of an account that was just created."""
    return StoredAccount(account_id)


async def read(connection: AsyncConnection, account_ids: list[str]) -> list[StoredAccount]:
    """The stored state of the accounts that exist, in no particular order; locks nothing."""
    result = await connection.execute(_READ, {"ids": joined_texts(account_ids)})
    assert result.cursor is not None
    # The driver's rows: wrapping them in SQLAlchemy's costs a microsecond each.
    accounts = [StoredAccount(*row) for row in result.cursor.fetchall()]
    result.close()
    return accounts


async def save_usage(connection: AsyncConnection, rows: Sequence[UsageRow]) -> None:
    """Save the states of usage."""
    if rows:
        await connection.execute(_UPSERT_USAGE, unnest_parameters(rows, ["account_id"], ["newest_at"], ["source"]))


async def save_signal(connection: AsyncConnection, table: SignalTable, rows: Sequence[StateRow]) -> None:
    """Save one signal's states."""
    if rows:
        await connection.execute(_UPSERTS[table], unnest_parameters(rows, ["account_id"], ["newest_at"]))
