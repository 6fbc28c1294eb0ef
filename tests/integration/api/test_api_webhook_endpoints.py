"""/v1/webhook-endpoints and their deliveries: checked as they come in, and secret where they have to be."""

import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from service.delivery.transport import signing_keys
from service.runtime.ids import new_id
from service.storage.database.tables import deliveries, delivery_attempts, webhook_endpoints
from tests.support.api import Api, make_key, running
from tests.support.service import settings_for
from tests.support.webhooks import add_alert

pytestmark = pytest.mark.anyio

URL = "https://crm.example.com/hooks/health"
WHOLE = {
    "url": URL,
    "target": "standard",
    "description": "The CRM",
    "enabled": True,
    "event_types": ["health.threshold.crossed"],
    "rules": ["At risk"],
    "bands": ["red", "yellow"],
    "segments": ["enterprise"],
    "stages": ["live"],
    "owners": ["ann@example.com"],
    "ordered": True,
    "rate_limit": 2.5,
}


async def test_an_endpoint_comes_back_as_it_was_given_but_for_its_secrets(engine: AsyncEngine, api: Api) -> None:
    body = {**WHOLE, "headers": {"Authorization": "Bearer crm-token"}}
    answer = await api.post("/v1/webhook-endpoints", body)
    assert (answer.status, answer.headers["Cache-Control"]) == (201, "no-store")
    created = answer.json
    secret = created.pop("secret")
    assert {name: created[name] for name in WHOLE} == WHOLE
    assert created["has_headers"] is True
    read = await api.get(f"/v1/webhook-endpoints/{created['id']}")
    assert read.json == created
    assert (await api.get("/v1/webhook-endpoints")).items == [created]

    async with engine.connect() as connection:
        row = (await connection.execute(select(webhook_endpoints))).one()
    vault = api.app.state.context.vault
    (signing,) = signing_keys.load(vault.open(row.secret))
    assert signing.text == secret
    assert json.loads(vault.open(row.headers)) == {"Authorization": "Bearer crm-token"}
    for shown in (answer.body.replace(secret.encode(), b""), read.body, repr(row).encode()):
        assert b"crm-token" not in shown
        assert secret.removeprefix("whsec_").encode() not in shown


async def test_what_isn_t_given_has_its_default(api: Api) -> None:
    created = (await api.post("/v1/webhook-endpoints", {"url": URL})).json
    assert created["secret"].startswith("whsec_")
    assert (created["target"], created["enabled"], created["ordered"], created["has_headers"]) == (
        "standard", True, False, False,
    )  # fmt: skip
    filters = ("event_types", "rules", "bands", "segments", "stages", "owners")
    assert [created[name] for name in filters] == [None] * len(filters)


async def test_put_replaces_and_patch_changes_but_the_secret_stays(engine: AsyncEngine, api: Api) -> None:
    created = (await api.post("/v1/webhook-endpoints", {**WHOLE, "headers": {"X-A": "1"}})).json
    path = f"/v1/webhook-endpoints/{created['id']}"

    async def secret() -> bytes:
        async with engine.connect() as connection:
            return bytes((await connection.execute(select(webhook_endpoints.c.secret))).scalar_one())

    before = await secret()
    patched = (await api.patch(path, {"enabled": False, "bands": None})).json
    same = {name: patched[name] for name in WHOLE if name not in ("enabled", "bands")}
    assert same == {name: WHOLE[name] for name in same}
    assert (patched["enabled"], patched["bands"], patched["has_headers"]) == (False, None, True)
    assert (await api.patch(path, {"headers": None})).json["has_headers"] is False
    replaced = (await api.put(path, {"url": "https://other.example.com"})).json
    assert (replaced["enabled"], replaced["segments"], replaced["description"]) == (True, None, "")
    assert replaced["created_at"] == created["created_at"]
    assert await secret() == before
    assert (await api.patch(path, {"url": "http://10.0.0.1/"})).fields == ["url"]
    assert (await api.get(path)).json["url"] == "https://other.example.com"
    assert (await api.delete(path)).status == 204
    assert (await api.delete(path)).status == 404


async def test_an_endpoint_that_can_t_be_is_refused_by_field(api: Api) -> None:
    for change, field in (
        ({"url": None}, "url"),
        ({"url": "http://crm.example.com"}, "url"),
        ({"url": "https://127.0.0.1/"}, "url"),
        ({"url": "https://169.254.169.254/latest"}, "url"),
        ({"url": "https://user:pw@crm.example.com"}, "url"),
        ({"url": "x" * 3000}, "url"),
        ({"url": 7}, "url"),
        ({"target": "carrier-pigeon"}, "target"),
        ({"headers": {"Host": "x"}}, "headers"),
        ({"headers": {"X-A": "a\r\nb"}}, "headers"),
        ({"headers": {"X-A": 7}}, "headers.X-A"),
        ({"event_types": ["health.invented"]}, "event_types[0]"),
        ({"bands": []}, "bands"),
        ({"rules": ["a\x00"]}, "rules[0]"),
        ({"ordered": "yes"}, "ordered"),
        ({"rate_limit": 0}, "rate_limit"),
        ({"rate_limit": 5e-324}, "rate_limit"),
        ({"rate_limit": -1}, "rate_limit"),
        ({"rate_limit": 1000.5}, "rate_limit"),
        ({"rate_limit": "5"}, "rate_limit"),
        ({"secret": "whsec_mine"}, "secret"),
        ({"description": "a\x00"}, "description"),
    ):
        answer = await api.post("/v1/webhook-endpoints", {"url": URL, **change})
        assert (answer.status, answer.fields) == (422, [field]), change
    assert (await api.get("/v1/webhook-endpoints")).items == []


async def test_the_url_has_to_be_one_of_the_target(api: Api) -> None:
    kafka, web = {"url": "kafka:health-alerts", "target": "kafka"}, {"url": URL, "target": "standard"}
    for body in ({**kafka, "target": "standard"}, {"url": kafka["url"]}, {**web, "target": "kafka"}):
        answer = await api.post("/v1/webhook-endpoints", body)
        assert (answer.status, answer.fields) == (422, ["url"]), body
    created = (await api.post("/v1/webhook-endpoints", kafka)).json
    path = f"/v1/webhook-endpoints/{created['id']}"
    for change in ({"url": URL}, {"target": "standard"}, web | {"target": "kafka"}):
        answer = await api.patch(path, change)
        assert (answer.status, answer.fields) == (422, ["url"]), change
        assert (await api.get(path)).json["url"] == kafka["url"]
    good: list[dict[str, Any]] = [
        {"url": "kafka:other"},
        {"enabled": False},
        web,
        {"url": "https://other.example.com/"},
    ]
    for patch in good:
        assert (await api.patch(path, patch)).status == 200, patch
    assert (await api.patch(path, {"url": "kafka:other-alerts"})).fields == ["url"]


async def test_without_an_encryption_key_the_remedy_is_named(database_url: str, engine: AsyncEngine) -> None:
    settings = settings_for(database_url, "127.0.0.1:1", "", encryption_key=None)
    async with running(settings, await make_key(engine, "admin")) as api:
        answer = await api.post("/v1/webhook-endpoints", {"url": URL})
        assert answer.status == 503
        assert "HEALTH_ENCRYPTION_KEY is not set" in answer.json["detail"]
        assert (await api.get("/v1/webhook-endpoints")).items == []


async def test_answers_say_since_when_it_fails_and_why_it_is_disabled(engine: AsyncEngine, api: Api) -> None:
    created = (await api.post("/v1/webhook-endpoints", {"url": URL})).json
    path = f"/v1/webhook-endpoints/{created['id']}"
    assert [created[name] for name in ("rate_limit", "disabled_reason", "failing_since")] == [None] * 3
    failed = {"failing_since": api.clock.now, "warned_at": api.clock.now}
    for change in (api.patch(path, {"enabled": True}), api.put(path, {"url": URL, "rate_limit": 5})):
        row = {**failed, "enabled": False, "disabled_reason": "failing"}
        async with engine.begin() as connection:
            await connection.execute(update(webhook_endpoints).values(row))
        shown = (await api.get(path)).json
        assert (shown["disabled_reason"], shown["enabled"]) == ("failing", False)
        assert datetime.fromisoformat(shown["failing_since"]) == api.clock.now
        shown = (await change).json
        assert (shown["disabled_reason"], shown["enabled"], shown["failing_since"]) == (None, True, None)
    assert shown["rate_limit"] == 5.0
    async with engine.begin() as connection:
        assert (await connection.execute(select(webhook_endpoints.c.warned_at))).scalar_one() is None
        await connection.execute(update(webhook_endpoints).values(failed))
    # It was not disabled, so that it is enabled says nothing new.
    assert (await api.patch(path, {"enabled": True})).json["failing_since"] is not None
    disabled = (await api.patch(path, {"enabled": False, "rate_limit": None})).json
    assert (disabled["disabled_reason"], disabled["rate_limit"]) == (None, None)


async def test_pages(api: Api) -> None:
    ids = [(await api.post("/v1/webhook-endpoints", {"url": URL})).json["id"] for _ in range(5)]
    for size in (1, 2, 5):
        items = await api.all_items(f"/v1/webhook-endpoints?page_size={size}")
        assert [item["id"] for item in items] == ids


async def deliver(engine: AsyncEngine, endpoint_id: str, sequence: int, state: str, statuses: list[int]) -> None:
    """A delivery with attempts that were answered with `statuses`."""
    alert_id = await add_alert(engine, "acme", sequence)
    delivery_id = new_id()
    row: dict[str, Any] = {"id": delivery_id, "alert_id": alert_id, "endpoint_id": endpoint_id, "state": state}
    async with engine.begin() as connection:
        await connection.execute(insert(deliveries).values(**row, attempts=len(statuses)))
        for number, status in enumerate(statuses, start=1):
            attempt = {"number": number, "status": status, "duration_seconds": 0.5, "response": f"answer {number}"}
            row = {"delivery_id": delivery_id, "started_at": datetime.now(UTC), **attempt}
            await connection.execute(insert(delivery_attempts).values(row))


async def test_deliveries_newest_first_with_their_last_attempt(engine: AsyncEngine, api: Api) -> None:
    # Disabled, so that the test's alerts are put down for them only as the test says.
    body = {"url": URL, "enabled": False}
    endpoint_id, other_id = [(await api.post("/v1/webhook-endpoints", body)).json["id"] for _ in range(2)]
    for sequence, (state, statuses) in enumerate([("succeeded", [500, 204]), ("failed", [500] * 3), ("pending", [])]):
        await deliver(engine, endpoint_id, sequence + 1, state, statuses)
    path = f"/v1/webhook-endpoints/{endpoint_id}/deliveries"
    items = (await api.get(path)).items
    assert [item["state"] for item in items] == ["pending", "failed", "succeeded"]
    assert items[0]["last_attempt"] is None
    last = items[2]["last_attempt"]
    assert (last["number"], last["status"], last["response"]) == (2, 204, "answer 2")
    assert items[2]["account_id"] == "acme"
    assert await api.all_items(f"{path}?page_size=1") == items
    assert [item["state"] for item in (await api.get(f"{path}?state=failed")).items] == ["failed"]
    assert (await api.get(f"{path}?state=lost")).fields == ["state"]
    assert (await api.get(f"/v1/webhook-endpoints/{other_id}/deliveries")).items == []
    assert (await api.get(f"/v1/webhook-endpoints/{uuid4()}/deliveries")).status == 404


@pytest.mark.parametrize("target", ["slack", "teams"])
async def test_chat_has_the_rate_that_chat_takes_unless_it_is_given_another(api: Api, target: str) -> None:
    created = (await api.post("/v1/webhook-endpoints", {"url": URL, "target": target})).json
    assert (created["rate_limit"], created["paused_until"]) == (1.0, None)
    path = f"/v1/webhook-endpoints/{created['id']}"
    assert (await api.patch(path, {"rate_limit": 3})).json["rate_limit"] == 3.0
    assert (await api.patch(path, {"description": "The channel"})).json["rate_limit"] == 3.0
    assert (await api.patch(path, {"rate_limit": None})).json["rate_limit"] == 1.0
    plain = (await api.post("/v1/webhook-endpoints", {"url": URL})).json
    assert plain["rate_limit"] is None
    assert (await api.patch(f"/v1/webhook-endpoints/{plain['id']}", {"target": target})).json["rate_limit"] == 1.0
