"""Endpoints, and alerts for them that wait to be delivered."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec

from benchmarks.harness.servers import engine_of
from service.runtime.ids import new_id
from service.runtime.settings import Settings
from service.storage.alerts import alerts, routing
from service.storage.alerts.alerts import AlertRow
from tests.support.webhooks import add_endpoint

NONE_PENDING = "SELECT NOT EXISTS (SELECT FROM deliveries WHERE state = 'pending')"
CHUNK = 5_000


async def fill(settings: Settings, url: str, messages: int, count: int) -> None:
    """Create endpoints, and alerts for each of them."""
    now = datetime.now(UTC)
    async with engine_of(settings) as engine:
        for _ in range(count):
            await add_endpoint(engine, url)
        for start in range(0, messages, CHUNK):
            rows = [_alert(number) for number in range(start, min(start + CHUNK, messages))]
            async with engine.begin() as connection:
                await alerts.insert(connection, rows, now)
                await routing.enqueue(connection, [row.id for row in rows], now)


def _alert(number: int) -> AlertRow:
    account_id = f"account-{number:07d}"
    drivers = [{"measure": name, "delta": -7.25} for name in ("active_users", "silence_ratio", "open_tickets")]
    data = {
        "account_id": account_id, "account_name": "Sørensen & Søn", "rule": "At risk", "state": "firing", "score": 31.5,
        "previous_score": 53.25, "band": "red", "previous_band": "yellow", "threshold": 40, "drivers": drivers,
        "sequence": 1, "url": f"https://health.example.com/v1/accounts/{account_id}/health",
    }  # fmt: skip
    message = ("At risk", "health.threshold.crossed", "firing")
    return AlertRow(
        new_id(), account_id, 1, UUID(int=0), *message, in_digest=False, data=msgspec.json.encode(data).decode(),
        digest_id=None,
    )  # fmt: skip
