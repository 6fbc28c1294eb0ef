"""Triage of alerts: acknowledge a firing one, or snooze its rule for its account."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from scoring.rules import state_machine
from scoring.rules.conditions import OK
from scoring.state.calendar import to_micros
from service.storage.accounts import accounts
from service.storage.accounts.score_codec import decode_memories, encode_memories
from service.storage.alerts import alerts, listing, triage


class NotFiringError(Exception):
    """Raised when the alert no longer fires, or never did."""


class NotOneRuleError(Exception):
    """Raised when the alert isn't about one rule and one account."""


async def acknowledge(connection: AsyncConnection, alert_id: UUID, by: str, now: datetime) -> Row[Any] | None:
    """Acknowledge a firing alert, in a transaction; None if there is none of that id.

    An acknowledged one stays as it is. Raises `NotFiringError`.
    """
    alert = await _read_locked(connection, alert_id)
    if alert is None or alert.acknowledged_at is not None:
        return alert
    if not await _fires(connection, alert):
        raise NotFiringError
    await triage.acknowledge(connection, alert_id, by, now)
    return await listing.get(connection, alert_id)


async def snooze(
    connection: AsyncConnection, alert_id: UUID, until: datetime, now: datetime, by: str | None
) -> Row[Any] | None:
    """Snooze the alert's rule for its account until `until`; None if there is no such alert.

    In a transaction. A firing alert is acknowledged too, if `by` is given. Raises `NotOneRuleError`.
    """
    alert = await _read_locked(connection, alert_id)
    if alert is None:
        return None
    await _set_snooze(connection, alert, until, now)
    if by is not None and await _fires(connection, alert):
        await triage.acknowledge(connection, alert_id, by, now)
    return await listing.get(connection, alert_id)


async def end_snooze(connection: AsyncConnection, alert_id: UUID, now: datetime) -> bool:
    """End the snooze that was requested with an alert, in a transaction; False if there is none."""
    alert = await _read_locked(connection, alert_id)
    if alert is None or alert.snoozed_until is None or alert.snoozed_until <= now:
        return False
    await _set_snooze(connection, alert, None, now)
    return True


async def _read_locked(connection: AsyncConnection, alert_id: UUID) -> Row[Any] | None:
    """An alert, with its account locked so that nobody else changes its rule memories."""
    alert = await listing.get(connection, alert_id)
    if alert is None or alert.account_id is None:
        return alert
    await accounts.lock(connection, alert.account_id)
    # Read it again: the previous holder of the lock may have changed it, or erased the account.
    return await listing.get(connection, alert_id)


async def _fires(connection: AsyncConnection, alert: Row[Any]) -> bool:
    if alert.account_id is None:
        return False
    return any(each["id"] == alert.id for each in await alerts.firing(connection, alert.account_id))


async def _set_snooze(connection: AsyncConnection, alert: Row[Any], until: datetime | None, now: datetime) -> None:
    if alert.account_id is None or alert.rule_id is None:
        raise NotOneRuleError
    held = await accounts.lock(connection, alert.account_id)
    memories = decode_memories(held.rule_memory if held else None)
    rule = str(alert.rule_id)
    memories[rule] = state_machine.snooze(memories.get(rule, OK), to_micros(until) if until else 0)
    await accounts.save_rule_memory(connection, alert.account_id, encode_memories(memories), until or now)
    await triage.snooze(connection, alert, until, now)
