"""The main job, end to end, by the commands an operator runs: an event in Kafka becomes a score in Postgres, a GET
shows it, a webhook tells it, and its signature holds.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.cloud_events import cloud_event, produce, record, usage
from tests.support.commands import call, command, environment, service_up
from tests.support.service import eventually, settings_for
from tests.support.webhooks import Receiver, receiver

pytestmark = pytest.mark.anyio


async def test_from_event_to_webhook(database_url: str, bootstrap: str, topic_prefix: str, tmp_path: Path) -> None:
    env = environment(settings_for(database_url, bootstrap, topic_prefix))
    usage_topic, ticket_topic = env["HEALTH_TOPIC_USAGE"], env["HEALTH_TOPIC_TICKET"]
    now = datetime.now(UTC)
    async with receiver() as crm, service_up(env, tmp_path / "up.log", "--consumers", "2") as url:
        key = command("api-key", "create", "test", "--scope", "admin", env=env).stdout.strip()
        assert "\n" not in key
        endpoint = await call(f"{url}/v1/webhook-endpoints", key, "POST", json={"url": crm.url})
        secret = endpoint["secret"]

        days = [(now - timedelta(days=day)).isoformat() for day in range(25)]
        daily = [usage("acme", f"feature-{number}", time=day) for day in days for number in range(12)]
        await produce(bootstrap, [record(usage_topic, event) for event in daily])

        async def is_healthy() -> bool:
            listed = await call(f"{url}/v1/accounts", key)
            return bool(listed["items"]) and (listed["items"][0]["score"] or 0) > 65

        await eventually(is_healthy, "all of its use counts")
        rule = {"name": "At risk", "kind": "score", "direction": "below", "level": 60, "clear_level": 65}
        await call(f"{url}/v1/alert-rules", key, "POST", json=rule)
        healthy = await call(f"{url}/v1/accounts/acme/health", key)
        assert healthy["score"] > 65
        assert healthy["score"] == pytest.approx(sum(m["contribution"] or 0 for m in healthy["measures"]), abs=1e-6)
        assert crm.bodies == []

        long_ago = (now - timedelta(days=60)).isoformat()
        tickets = [
            {"ticket_id": str(number), "status": "open", "priority": "urgent", "created_at": long_ago}
            for number in range(9)
        ]
        detractors = [{"survey": "nps", "response_id": str(number), "score": 0} for number in range(3)]
        troubles = [record(ticket_topic, cloud_event("ticket", "acme", ticket)) for ticket in tickets]
        troubles += [record(env["HEALTH_TOPIC_SURVEY"], cloud_event("survey", "acme", a)) for a in detractors]
        troubles += [record(env["HEALTH_TOPIC_ACCOUNT"], cloud_event("account", "acme", {"name": "Acmé", "seats": 90}))]
        await produce(bootstrap, troubles)
        await eventually(_received(crm, 1), "the webhook is received")

        unhealthy = await call(f"{url}/v1/accounts/acme/health", key)
        assert unhealthy["score"] < 60
        message = crm.messages(secret)[0]
        assert message["type"] == "health.threshold.crossed"
        told = message["data"]
        assert (told["account_id"], told["rule"], told["state"], told["threshold"]) == ("acme", "At risk", "firing", 60)
        assert told["score"] < 60 <= told["previous_score"]
        assert told["drivers"]
        assert [alert["rule"] for alert in unhealthy["alerts"]] == ["At risk"]
        await asyncio.sleep(1)
        assert len(crm.bodies) == 1, "told once"


def _received(crm: Receiver, count: int) -> Callable[[], Awaitable[bool]]:
    async def enough() -> bool:
        return len(crm.bodies) >= count

    return enough
