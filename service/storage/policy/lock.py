"""Keeps evaluations consistent with the policy: a lock that evaluations share and changes hold alone."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_LOCK = 0x706F6C696379  # "policy"

_SIGNATURE = text("""
    SELECT (SELECT count(*) FROM scorecards), (SELECT max(published_at) FROM scorecards),
           (SELECT count(*) FROM alert_rules), (SELECT sum(extract(epoch FROM updated_at)) FROM alert_rules),
           (SELECT digest_id FROM reevaluations WHERE finished_at IS NULL AND digest_id IS NOT NULL LIMIT 1),
           (SELECT array_agg(source ORDER BY source) FROM source_outages WHERE ended_at IS NULL)
""")


async def lock_shared(connection: AsyncConnection) -> None:
    """Prevent changes of scorecards and rules until the transaction ends; waits for one under way.

    Call it before accounts are locked: a change locks them all, once it holds the policy.
    """
    await connection.execute(text("SELECT pg_advisory_xact_lock_shared(:lock)"), {"lock": _LOCK})


async def lock_exclusive(connection: AsyncConnection) -> None:
    """Prevent evaluations until the transaction ends; waits for those under way."""
    await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


async def silent_sources(connection: AsyncConnection) -> list[str]:
    """The sources of usage that have gone silent."""
    return list((await connection.execute(text("SELECT source FROM source_outages WHERE ended_at IS NULL"))).scalars())


async def signature(connection: AsyncConnection) -> tuple[Any, ...]:
    """A value that differs after every change of scorecards, rules, silent sources, or of whether a digest is open."""
    return tuple((await connection.execute(_SIGNATURE)).one())
