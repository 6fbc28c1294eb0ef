"""Alert rules."""

from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.tables import alert_rules


async def create(connection: AsyncConnection, rule: dict[str, Any]) -> dict[str, Any]:
    """Insert a rule (id, name, kind, enabled, document); raises IntegrityError if the name is taken."""
    row = await connection.execute(insert(alert_rules).values(**rule).returning(*alert_rules.c))
    return dict(row.mappings().one())


async def replace(connection: AsyncConnection, rule_id: UUID, rule: dict[str, Any]) -> dict[str, Any] | None:
    """Replace a rule; None if there is none of that id, IntegrityError if the name is taken."""
    row = await connection.execute(
        update(alert_rules)
        .where(alert_rules.c.id == rule_id)
        .values(**rule, updated_at=func.now())
        .returning(*alert_rules.c)
    )
    found = row.mappings().one_or_none()
    return dict(found) if found else None


async def remove(connection: AsyncConnection, rule_id: UUID) -> bool:
    """Delete a rule; False if there is none of that id. Its alerts stay."""
    return (await connection.execute(delete(alert_rules).where(alert_rules.c.id == rule_id))).rowcount > 0


async def get(connection: AsyncConnection, rule_id: UUID) -> dict[str, Any] | None:
    """One rule, or None."""
    row = await connection.execute(select(alert_rules).where(alert_rules.c.id == rule_id))
    found = row.mappings().one_or_none()
    return dict(found) if found else None


async def all_rules(connection: AsyncConnection, *, enabled_only: bool = False) -> list[dict[str, Any]]:
    """The rules by name. There are few: they are configuration."""
    query = select(alert_rules).order_by(alert_rules.c.name)
    if enabled_only:
        query = query.where(alert_rules.c.enabled)
    return [dict(row) for row in (await connection.execute(query)).mappings()]
