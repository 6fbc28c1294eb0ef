"""Alert rules."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, func, insert, null, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from service.storage.database.tables import alert_rules

ADDED_FIELDS = frozenset({"exclude_segments", "exclude_stages", "exclude_owners", "playbook_url"})
"""Fields that were added later. They have their own column, as the previous version refuses documents with them."""

_COLUMNS = [column for column in alert_rules.c if column.name != "deleted_at"]
_NOT_DELETED = alert_rules.c.deleted_at.is_(None)
_SHOWN = select(*_COLUMNS).where(_NOT_DELETED)


async def create(connection: AsyncConnection, rule: dict[str, Any]) -> dict[str, Any]:
    """Insert a rule (id, name, kind, enabled, document); raises IntegrityError if the name is taken."""
    row = await connection.execute(insert(alert_rules).values(**_to_columns(rule)).returning(*_COLUMNS))
    return _from_columns(row.mappings().one())


async def replace(connection: AsyncConnection, rule_id: UUID, rule: dict[str, Any]) -> dict[str, Any] | None:
    """Replace a rule; None if it doesn't exist, IntegrityError if the name is taken."""
    row = await connection.execute(
        update(alert_rules)
        .where(alert_rules.c.id == rule_id, _NOT_DELETED)
        .values(**_to_columns(rule), updated_at=func.now())
        .returning(*_COLUMNS)
    )
    found = row.mappings().one_or_none()
    return _from_columns(found) if found else None


async def remove(connection: AsyncConnection, rule_id: UUID) -> bool:
    """Delete a rule; False if it doesn't exist. Its alerts stay, and the row stays to name what it fired."""
    marked = update(alert_rules).where(alert_rules.c.id == rule_id, _NOT_DELETED)
    values = {"deleted_at": func.now(), "updated_at": func.now(), "enabled": False}
    return (await connection.execute(marked.values(**values))).rowcount > 0


async def get(connection: AsyncConnection, rule_id: UUID) -> dict[str, Any] | None:
    """One rule, or None."""
    row = await connection.execute(_SHOWN.where(alert_rules.c.id == rule_id))
    found = row.mappings().one_or_none()
    return _from_columns(found) if found else None


async def all_rules(connection: AsyncConnection) -> list[dict[str, Any]]:
    """The rules by name. There are few: they are configuration."""
    return [_from_columns(row) for row in (await connection.execute(_SHOWN.order_by(alert_rules.c.name))).mappings()]


async def all_with_deleted(connection: AsyncConnection) -> list[dict[str, Any]]:
    """The rules by name, including deleted ones, which aren't enabled."""
    query = select(*_COLUMNS).order_by(alert_rules.c.name, alert_rules.c.id)
    return [_from_columns(row) for row in (await connection.execute(query)).mappings()]


def _to_columns(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Split a rule's document into its columns."""
    document: dict[str, Any] = rule["document"]
    added = {name: value for name, value in document.items() if name in ADDED_FIELDS}
    known = {name: value for name, value in document.items() if name not in ADDED_FIELDS}
    return {**rule, "document": known, "added": added or null()}


def _from_columns(row: RowMapping) -> dict[str, Any]:
    """Join a rule's columns into the whole document."""
    rule = dict(row)
    added = rule.pop("added")
    return {**rule, "document": {**rule["document"], **(added or {})}}
