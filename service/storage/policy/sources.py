"""Sources of usage events: the number of accounts each reported per day, and the times it was silent."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from service.runtime.ids import new_id
from service.storage.database.bulk_parameters import unnest_parameters

_LOCK_KEY = 0x736F7572636573  # "sources"
_CANCELLED = "57014"


class SourceCount(NamedTuple):
    """The number of accounts that a source reported: on a day or since, and since a week before."""

    source: str
    accounts: int
    lately: int


class SourceDay(NamedTuple):
    """The number of accounts that a source reported on a day."""

    source: str
    day: date
    accounts: int


class Outage(NamedTuple):
    """A source that went silent on the day `began_on`; `ended_at` is null while it is."""

    id: UUID
    source: str
    began_on: date
    noticed_at: datetime
    ended_at: datetime | None


async def acquire_lock(connection: AsyncConnection, timeout_ms: int) -> None:
    """Lock the counts against other processes until the transaction ends; waits for one that has them.

    No statement takes longer than `timeout_ms`, including the wait.
    """
    # No index helps counting: one on a time that changes with every event would slow every fold.
    await connection.execute(
        text("SELECT set_config('statement_timeout', :timeout, true), set_config('enable_seqscan', 'on', true)"),
        {"timeout": f"{timeout_ms}ms"},
    )
    await connection.execute(text("SELECT pg_advisory_xact_lock(:turn)"), {"turn": _LOCK_KEY})


async def is_counted(connection: AsyncConnection, day: date) -> bool:
    """True if a day was counted, and any source was found."""
    statement = text("SELECT EXISTS (SELECT FROM source_days WHERE day = :day)")
    return bool((await connection.execute(statement, {"day": day})).scalar())


_COUNT = text("""
    SELECT usage_source, count(*) FILTER (WHERE usage_at >= :since) AS accounts, count(*) AS lately
    FROM scores WHERE usage_at >= :lately AND usage_source <> ''
    GROUP BY usage_source HAVING count(*) >= :fewest ORDER BY usage_source
""")


async def count(connection: AsyncConnection, since: datetime, lately: datetime, fewest: int) -> list[SourceCount]:
    """The sources that at least `fewest` accounts had `lately`, with the number of accounts reported `since`."""
    values = {"since": since, "lately": lately, "fewest": fewest}
    return list(map(SourceCount._make, await connection.execute(_COUNT, values)))


_COUNT_ACCOUNTS = text("""
    SELECT usage_source, count(*) FROM scores WHERE usage_at >= :since AND usage_source = ANY(:sources)
    GROUP BY usage_source
""")


async def count_accounts(connection: AsyncConnection, sources: list[str], since: datetime) -> dict[str, int]:
    """The number of accounts that each source reported `since`; silent ones are left out."""
    found = await connection.execute(_COUNT_ACCOUNTS, {"sources": sources, "since": since})
    return {row[0]: row[1] for row in found}


_SAVE_DAYS = text("""
    INSERT INTO source_days (source, day, accounts)
    SELECT * FROM unnest(CAST(:source AS text[]), CAST(:day AS date[]), CAST(:accounts AS bigint[]))
    ON CONFLICT DO NOTHING
""")


async def save_days(connection: AsyncConnection, days: Sequence[SourceDay]) -> None:
    """Save counts of days; existing ones stay."""
    if days:
        await connection.execute(_SAVE_DAYS, unnest_parameters(days))


async def delete_before(connection: AsyncConnection, before: date) -> None:
    """Delete the counts of days before that one."""
    await connection.execute(text("DELETE FROM source_days WHERE day < :before"), {"before": before})


async def days(connection: AsyncConnection, since: date, source: str | None = None) -> list[SourceDay]:
    """The counts of days from `since` on, of one source or of all: by source, newest first."""
    found = await connection.execute(
        text("""
            SELECT source, day, accounts FROM source_days
            WHERE day >= :since AND source = coalesce(:source, source) ORDER BY source, day DESC
        """),
        {"since": since, "source": source},
    )
    return list(map(SourceDay._make, found))


_COLUMNS = "id, source, began_on, noticed_at, ended_at"


async def open_outages(connection: AsyncConnection) -> list[Outage]:
    """The outages that haven't ended."""
    statement = text(f"SELECT {_COLUMNS} FROM source_outages WHERE ended_at IS NULL ORDER BY source")  # noqa: S608 - this module's own names
    return list(map(Outage._make, await connection.execute(statement)))


async def outages(connection: AsyncConnection, since: date) -> list[Outage]:
    """The outages that began on `since` or later, or still last: newest first."""
    statement = text(f"""
        SELECT {_COLUMNS} FROM source_outages WHERE began_on >= :since OR ended_at IS NULL
        ORDER BY source, began_on DESC, id DESC
    """)  # noqa: S608 - as above
    return list(map(Outage._make, await connection.execute(statement, {"since": since})))


async def begin_outage(connection: AsyncConnection, source: str, began_on: date, now: datetime) -> Outage | None:
    """Record that a source is silent; None if that is known."""
    statement = text(f"""
        INSERT INTO source_outages (id, source, began_on, noticed_at) VALUES (:id, :source, :began_on, :now)
        ON CONFLICT (source) WHERE ended_at IS NULL DO NOTHING RETURNING {_COLUMNS}
    """)  # noqa: S608 - as above
    values = {"id": new_id(), "source": source, "began_on": began_on, "now": now}
    row = (await connection.execute(statement, values)).one_or_none()
    return Outage._make(row) if row else None


async def end_outage(connection: AsyncConnection, source: str, now: datetime) -> Outage | None:
    """Record that a source is silent no more; None if it wasn't."""
    statement = text(f"""
        UPDATE source_outages SET ended_at = :now WHERE source = :source AND ended_at IS NULL RETURNING {_COLUMNS}
    """)  # noqa: S608 - as above
    row = (await connection.execute(statement, {"source": source, "now": now})).one_or_none()
    return Outage._make(row) if row else None


def is_timeout(error: Exception) -> bool:
    """True if a statement took too long, or was cancelled."""
    return isinstance(error, DBAPIError) and getattr(error.orig, "sqlstate", None) == _CANCELLED
