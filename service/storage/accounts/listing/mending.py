"""Finds and mends rows of `listed_accounts` that differ from what accounts show.

Whatever writes a score writes them too, except the version before, which runs beside this one during an upgrade.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# Both tables are read from end to end: no index could be looked up instead.
_LIMITS = text("""
    SELECT set_config('statement_timeout', :timeout, true), set_config('enable_seqscan', 'on', true),
           set_config('enable_hashjoin', 'on', true), set_config('enable_mergejoin', 'on', true)
""")

_SHOWN = """(
        SELECT account_id, s.score, s.band, a.segment, a.stage, a.owner FROM scores s JOIN accounts a USING (account_id)
    ) AS shown"""

_SAME_SCORE = "(listed.band, floor(listed.score * 10)) IS NOT DISTINCT FROM ({0}.band, floor({0}.score * 10))"
_SAME_WORDS = """(listed.segment, listed.stage, listed.owner)
           IS NOT DISTINCT FROM ({0}.segment, {0}.stage, {0}.owner)"""

_FIND = text(f"""
    SELECT account_id FROM {_SHOWN} FULL JOIN listed_accounts AS listed USING (account_id)
    WHERE listed.account_id IS NULL OR shown.account_id IS NULL
       OR NOT {_SAME_SCORE.format("shown")} OR NOT {_SAME_WORDS.format("shown")}
    ORDER BY account_id COLLATE "C"
""")  # noqa: S608 - made of this module's own text

# Whoever holds an account writes its row too: it needn't be waited for.
_LOCK = text("""
    SELECT account_id FROM scores WHERE account_id = ANY(:ids) ORDER BY account_id COLLATE "C" FOR UPDATE SKIP LOCKED
""")

_MEND = text(f"""
    INSERT INTO listed_accounts AS listed (account_id, score, band, segment, stage, owner, changed_at)
    SELECT account_id, score, band, segment, stage, owner, CAST(:now AS timestamptz) FROM {_SHOWN}
    WHERE account_id = ANY(:ids)
    ON CONFLICT (account_id) DO UPDATE
    SET score = excluded.score, band = excluded.band,
        segment = excluded.segment, stage = excluded.stage, owner = excluded.owner,
        changed_at = CASE WHEN {_SAME_SCORE.format("excluded")} THEN listed.changed_at ELSE excluded.changed_at END
    WHERE NOT {_SAME_SCORE.format("excluded")} OR NOT {_SAME_WORDS.format("excluded")}
""")  # noqa: S608 - as above

_DROP = text("""
    DELETE FROM listed_accounts WHERE account_id IN (
        SELECT account_id FROM listed_accounts AS listed
        WHERE account_id = ANY(:ids) AND NOT EXISTS (SELECT FROM scores WHERE scores.account_id = listed.account_id)
        ORDER BY account_id COLLATE "C" FOR UPDATE SKIP LOCKED
    )
""")


async def find(connection: AsyncConnection, timeout_ms: int) -> list[str]:
    """The accounts whose rows differ, are missing or left over, in order; locks nothing."""
    await connection.execute(_LIMITS, {"timeout": f"{timeout_ms}ms"})
    return list((await connection.execute(_FIND)).scalars())


async def mend(connection: AsyncConnection, account_ids: Sequence[str], now: datetime) -> int:
    """Write the rows of these accounts again where they still differ; returns how many did.

    Accounts that others have locked are skipped. A score or band that differed counts as changed at `now`: whoever asks
    for what has changed since a moment before must get it.
    """
    locked = list((await connection.execute(_LOCK, {"ids": list(account_ids)})).scalars())
    # A statement of its own: it has to see what was committed before the locks were taken.
    mended = await connection.execute(_MEND, {"ids": locked, "now": now})
    dropped = await connection.execute(_DROP, {"ids": list(account_ids)})
    return mended.rowcount + dropped.rowcount
