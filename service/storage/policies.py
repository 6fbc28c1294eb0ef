"""Keeping what accounts are judged by and what was judged in step: a lock that judges share and changers hold alone."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_LOCK = 0x706F6C696379  # "policy"

_SIGNATURE = text("""
    SELECT (SELECT count(*) FROM scorecards), (SELECT max(published_at) FROM scorecards),
           (SELECT count(*) FROM alert_rules), (SELECT max(updated_at) FROM alert_rules)
""")


async def hold(connection: AsyncConnection) -> None:
    """Until the transaction ends, nobody changes scorecards or rules; whoever is at it is waited for.

    To be called before accounts are locked: a change locks them all, once it holds the policy.
    """
    await connection.execute(text("SELECT pg_advisory_xact_lock_shared(:lock)"), {"lock": _LOCK})


async def hold_alone(connection: AsyncConnection) -> None:
    """Until the transaction ends, nobody judges by scorecards or rules; those who are at it are waited for."""
    await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


async def signature(connection: AsyncConnection) -> tuple[Any, ...]:
    """What differs after every change of scorecards or rules."""
    return tuple((await connection.execute(_SIGNATURE)).one())
