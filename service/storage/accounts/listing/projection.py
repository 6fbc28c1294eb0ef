"""The rows that lists of accounts are filtered and sorted by: what `scores` and `accounts` show, but written only when
that has changed.

Most events move a score by some hundredths of a point, and each write of a row costs an entry in every index. So a
score is written again when another tenth of a point, or another band, is shown.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from math import floor
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.database.bulk_parameters import unnest_parameters


class ListedRow(NamedTuple):
    """An account's score and band, as lists show them."""

    account_id: str
    score: float | None
    band: str


def is_shown_alike(score: float | None, band: str, later_score: float | None, later_band: str) -> bool:
    """True if the row of an account need not be written again: the same band, and the same tenth of a point."""
    if band != later_band or score is None or later_score is None:
        return band == later_band and score is later_score
    return floor(score * 10) == floor(later_score * 10)


_SAVE = text("""
    INSERT INTO listed_accounts (account_id, score, band, changed_at)
    SELECT new.account_id, new.score, new.band, CAST(:now AS timestamptz)
    FROM unnest(
        string_to_array(:account_id, chr(31)), CAST(CAST(:score AS text) AS float8[]), string_to_array(:band, chr(31))
    ) AS new (account_id, score, band)
    ON CONFLICT (account_id) DO UPDATE
    SET score = excluded.score, band = excluded.band, changed_at = excluded.changed_at
""")


async def save(connection: AsyncConnection, rows: Sequence[ListedRow], now: datetime) -> None:
    """Save what has changed at `now` about accounts that this transaction has locked."""
    if rows:
        columns = unnest_parameters(rows, ["account_id", "band"], ["score"])
        await connection.execute(_SAVE, {**columns, "now": now})


_SAVE_ATTRIBUTES = text("""
    UPDATE listed_accounts AS listed SET segment = new.segment, stage = new.stage, owner = new.owner
    FROM unnest(CAST(:account_id AS text[]), CAST(:segment AS text[]), CAST(:stage AS text[]), CAST(:owner AS text[]))
         AS new (account_id, segment, stage, owner)
    WHERE listed.account_id = new.account_id
      AND (listed.segment, listed.stage, listed.owner) IS DISTINCT FROM (new.segment, new.stage, new.owner)
""")


async def save_attributes(connection: AsyncConnection, columns: Mapping[str, Sequence[Any]]) -> None:
    """Save `segment`, `stage` and `owner` of accounts, given by column, that this transaction has locked."""
    await connection.execute(_SAVE_ATTRIBUTES, columns)
