"""One of everything that the API shows, created as in production: through Kafka."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.api import Api
from tests.support.cloud_events import cloud_event, produce, usage
from tests.support.service import consuming, eventually, query

ACCOUNTS = ("acme", "globex", "initech")
RULE = {"name": "At risk", "kind": "score", "direction": "below", "level": 100}


async def load(api: Api, engine: AsyncEngine) -> None:
    """Accounts with history, alerts that fire, a delivery, and a record that was refused.

    Needs an API over real Kafka, and settings that let webhooks go to this machine.
    """
    settings = api.app.state.context.settings
    assert (await api.post("/v1/alert-rules", RULE)).status == 201
    endpoint = (await api.post("/v1/webhook-endpoints", {"url": "http://127.0.0.1:9/hooks"})).json["id"]
    assert (await api.post(f"/v1/webhook-endpoints/{endpoint}/test")).status == 202
    assert (await api.post("/v1/events?backfill=true", history())).status == 202
    async with consuming(settings):
        await _until(engine, "SELECT count(*) >= 3 FROM scores WHERE day IS NOT NULL")
        assert (await api.post("/v1/events", [ticket(account, "new") for account in ACCOUNTS])).status == 202
        await produce(settings.kafka_bootstrap_servers, [(settings.topic_usage, b"acme", b"no JSON")])
        await _until(engine, "SELECT count(*) > 0 FROM dead_letters")
    override = {"band": "red", "reason": "Their champion has left.", "author": "ann"}
    assert (await api.put("/v1/accounts/globex/health/override", override)).status == 200


def history() -> Sequence[dict[str, Any]]:
    """Forty days of three customers."""
    now = datetime.now(UTC)
    events: list[dict[str, Any]] = []
    for account in ACCOUNTS:
        attributes = {"name": account.title(), "segment": "enterprise", "stage": "live", "owner": "ann", "seats": 10}
        events.append(cloud_event("account", account, {**attributes, "arr": 1200}))
        events += [usage(account, time=(now - timedelta(days=ago)).isoformat()) for ago in range(1, 40, 3)]
        answer = {"survey": "nps", "response_id": "r1", "respondent_id": "bob", "score": 6}
        events.append(cloud_event("survey", account, answer, time=(now - timedelta(days=5)).isoformat()))
    return events


def ticket(account: str, status: str) -> dict[str, Any]:
    """A ticket of today."""
    data = {"ticket_id": "1", "status": status, "priority": "urgent", "created_at": datetime.now(UTC).isoformat()}
    return cloud_event("ticket", account, data)


async def _until(engine: AsyncEngine, condition: str) -> None:
    async def holds() -> bool:
        return bool((await query(engine, condition))[0][0])

    await eventually(holds, condition)
