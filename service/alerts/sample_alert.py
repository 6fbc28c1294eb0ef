"""Sample alerts, to try an endpoint with: they look like an alert, but are about no account."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from service.runtime.ids import new_id
from service.storage.alerts import alerts, routing
from service.storage.alerts.alerts import AlertRow

RULE = "test"
"""Used in place of a rule's name."""


async def send(connection: AsyncConnection, endpoint_id: UUID, now: datetime, base_url: str) -> UUID:
    """Write a sample for this endpoint alone, whatever its filters; returns the delivery's id."""
    row = _alert(f"{base_url}/v1/webhook-endpoints/{endpoint_id}")
    await alerts.insert(connection, [row], now)
    return await routing.enqueue_for(connection, row.id, endpoint_id, now)


def _alert(url: str) -> AlertRow:
    data: dict[str, Any] = {
        "account_id": None,
        "account_name": "Example account (a test)",
        "rule": RULE,
        "state": "firing",
        "score": 34.5,
        "previous_score": 61.0,
        "band": "red",
        "previous_band": "yellow",
        "threshold": 40.0,
        "drivers": [{"measure": "active_users", "delta": -18.5}, {"measure": "open_tickets", "delta": -8.0}],
        "sequence": None,
        "url": url,
    }
    return AlertRow(
        id=new_id(),
        account_id=None,
        sequence=None,
        rule_id=None,
        rule=RULE,
        type="health.threshold.crossed",
        state="firing",
        in_digest=True,
        data=msgspec.json.encode(data).decode(),
        digest_id=None,
    )
