"""Iterates over all accounts in the order of their ids, or over an even sample of them.

A sample consists of the accounts with the lowest hashes of their ids: the same ones every time, and as good as random.
"""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_HASH_CUTOFF = text("SELECT hashtextextended(account_id, 0) AS hash FROM accounts ORDER BY hash OFFSET :most LIMIT 1")

_FOLLOWING = text("""
    SELECT account_id FROM accounts
    WHERE account_id > :after AND (CAST(:cut AS bigint) IS NULL OR hashtextextended(account_id, 0) < :cut)
    ORDER BY account_id LIMIT :limit
""")


async def count(connection: AsyncConnection) -> int:
    """The number of accounts."""
    return int((await connection.execute(text("SELECT count(*) FROM accounts"))).scalar_one())


async def hash_cutoff(connection: AsyncConnection, most: int) -> int | None:
    """The hash below which `most` accounts lie; None if there are no more accounts than that."""
    found: int | None = (await connection.execute(_HASH_CUTOFF, {"most": most})).scalar_one_or_none()
    return found


async def next_accounts(connection: AsyncConnection, after: str, cut: int | None, limit: int) -> list[str]:
    """The next accounts after `after`, in order: all, or those below `cut`."""
    return list((await connection.execute(_FOLLOWING, {"after": after, "cut": cut, "limit": limit})).scalars())
