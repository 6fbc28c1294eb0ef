"""Triage of alerts: acknowledge them, and snooze their rules."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection


async def acknowledge(connection: AsyncConnection, alert_id: UUID, by: str, now: datetime) -> None:
    """Record who has seen an alert, and when; the first one stays."""
    await connection.execute(
        text("""
            UPDATE alerts SET acknowledged_at = :now, acknowledged_by = :by WHERE id = :id AND acknowledged_at IS NULL
        """),
        {"id": alert_id, "by": by, "now": now},
    )


# A rule has one snooze per account, whichever of its alerts was used to request it.
_SNOOZE = text("""
    UPDATE alerts SET snoozed_until = CASE WHEN id = :id THEN CAST(:until AS timestamptz) END
    WHERE account_id = :account_id AND rule_id = :rule_id AND (id = :id OR snoozed_until > :now)
""")


async def snooze(connection: AsyncConnection, alert: Row[Any], until: datetime | None, now: datetime) -> None:
    """Record on an alert until when its rule snoozes, instead of on its other alerts; None ends the snooze."""
    values = {"id": alert.id, "account_id": alert.account_id, "rule_id": alert.rule_id, "until": until, "now": now}
    await connection.execute(_SNOOZE, values)
