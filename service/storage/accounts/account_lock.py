"""Locks a single account, for manual changes to it."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


class LockedAccount(NamedTuple):
    """The rules' memory of an account, and its override; both encoded."""

    rule_memory: bytes | None
    override: str | None


_LOCK = text("SELECT rule_memory, CAST(override AS text) FROM scores WHERE account_id = :id FOR UPDATE")


async def lock(connection: AsyncConnection, account_id: str) -> LockedAccount | None:
    """Lock an account until the transaction ends; None if it doesn't exist."""
    row = (await connection.execute(_LOCK, {"id": account_id})).one_or_none()
    return LockedAccount(*row) if row else None


_SAVE_RULE_MEMORY = text("""
    UPDATE scores SET rule_memory = :rule_memory, due_at = least(due_at, CAST(:due_at AS timestamptz))
    WHERE account_id = :id
""")


async def save_rule_memory(
    connection: AsyncConnection, account_id: str, rule_memory: bytes | None, due_at: datetime
) -> None:
    """Save the rules' memory of a locked account; the sweeper evaluates it at `due_at`, or before."""
    await connection.execute(_SAVE_RULE_MEMORY, {"id": account_id, "rule_memory": rule_memory, "due_at": due_at})
