"""Compares the rows that lists are read from with what the accounts show."""

from math import floor
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.service import query

_SHOWN = (
    "SELECT account_id, score, s.band, a.segment, a.stage, a.owner FROM scores s JOIN accounts a USING (account_id)"
)
_LISTED = "SELECT account_id, score, band, segment, stage, owner FROM listed_accounts"


def _as_listed(row: Any) -> tuple[Any, ...]:
    account_id, score, *rest = row
    return account_id, None if score is None else floor(score * 10), *rest


async def listed_differences(engine: AsyncEngine) -> set[tuple[Any, ...]]:
    """Rows that the accounts show and lists don't, and the other way round, with scores in tenths of a point."""
    shown, listed = [set(map(_as_listed, await query(engine, statement))) for statement in (_SHOWN, _LISTED)]
    return shown ^ listed
