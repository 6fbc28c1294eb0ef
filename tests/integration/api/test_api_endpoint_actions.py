"""Rotating a secret, trying an endpoint, and sending again all that failed."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from service.delivery.transport import signing_keys
from service.storage.database.tables import alerts, webhook_endpoints
from service.storage.database.tables import deliveries as table
from service.storage.webhooks import outbox, resend
from service.storage.webhooks.outbox import SendingLimits
from service.storage.webhooks.resend import FailedDeliveries
from tests.support.api import Api, make_key
from tests.support.webhooks import add_alert, local_settings, receiver, until, working

pytestmark = pytest.mark.anyio

URL = "https://crm.example.com/hooks/health"
PATH = "/v1/webhook-endpoints"
HOUR = timedelta(hours=1)


async def create(api: Api, **more: Any) -> Any:
    return (await api.post(PATH, {"url": URL, **more})).json


async def secrets(engine: AsyncEngine, api: Api) -> list[str]:
    """The secrets that sign messages now."""
    async with engine.connect() as connection:
        sealed = (await connection.execute(select(webhook_endpoints.c.secret))).scalar_one()
    return signing_keys.active_secrets(signing_keys.load(api.app.state.context.vault.open(sealed)), api.clock())


# --- rotate-secret ----------------------------------------------------------------------------------------------


async def test_a_new_secret_signs_and_the_old_one_for_a_day(engine: AsyncEngine, api: Api) -> None:
    created = await create(api)
    answer = await api.post(f"{PATH}/{created['id']}/rotate-secret")
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
    new = answer.json["secret"]
    assert new.startswith("whsec_")
    assert datetime.fromisoformat(answer.json["old_signs_until"]) == api.clock.now + 24 * HOUR
    assert await secrets(engine, api) == [new, created["secret"]]
    assert new.encode() not in (await api.get(f"{PATH}/{created['id']}")).body
    api.clock.now += 24 * HOUR
    assert await secrets(engine, api) == [new]


async def test_two_that_rotate_at_once_lose_no_secret(engine: AsyncEngine, api: Api) -> None:
    created = await create(api)
    answers = await asyncio.gather(*(api.post(f"{PATH}/{created['id']}/rotate-secret") for _ in range(3)))
    shown = {answer.json["secret"] for answer in answers}
    assert set(await secrets(engine, api)) == {created["secret"], *shown}
    assert len(shown) == 3


async def test_secrets_do_not_pile_up(engine: AsyncEngine, api: Api) -> None:
    path = f"{PATH}/{(await create(api))['id']}/rotate-secret"
    assert [(await api.post(path)).status for _ in range(5)] == [200] * 4 + [409]
    api.clock.now += 24 * HOUR
    assert (await api.post(path)).status == 200
    assert len(await secrets(engine, api)) == 2


async def test_rotating_needs_scope_write_and_an_endpoint(engine: AsyncEngine, api: Api) -> None:
    created = await create(api)
    reader = await make_key(engine, "read")
    for action in ("rotate-secret", "test", "recover"):
        assert (await api.post(f"{PATH}/{created['id']}/{action}", {}, key=reader)).status == 403
    for action in ("rotate-secret", "test"):
        assert (await api.post(f"{PATH}/{uuid4()}/{action}")).status == 404
    assert await secrets(engine, api) == [created["secret"]]


# --- test -------------------------------------------------------------------------------------------------------


async def test_a_test_message_goes_to_this_endpoint_alone_whatever_its_filters(engine: AsyncEngine, api: Api) -> None:
    other = await create(api)
    created = await create(api, bands=["green"], segments=["enterprise"], event_types=["health.digest"])
    answer = await api.post(f"{PATH}/{created['id']}/test")
    assert answer.status == 202
    delivery = (await api.get(f"/v1/deliveries/{answer.json['delivery_id']}")).json
    assert (delivery["endpoint_id"], delivery["state"], delivery["account_id"]) == (created["id"], "pending", None)
    assert delivery["type"] == "health.threshold.crossed"
    assert (await api.get(f"{PATH}/{other['id']}/deliveries")).items == []
    async with engine.connect() as connection:
        alert = (await connection.execute(select(alerts))).one()
    assert (alert.rule, alert.state, alert.account_id, alert.quiet) == ("test", "firing", None, True)
    assert alert.data.keys() == {
        "account_id", "account_name", "rule", "state", "score", "previous_score", "band", "previous_band", "threshold",
        "drivers", "sequence", "url",
    }  # fmt: skip


async def test_it_arrives_and_its_attempt_can_be_seen(engine: AsyncEngine, api: Api) -> None:
    async with receiver() as crm:
        created = await create(api)
        async with engine.begin() as connection:  # past the guard, which wants no address of this machine
            await connection.execute(update(webhook_endpoints).values(url=crm.url))
        delivery_id = (await api.post(f"{PATH}/{created['id']}/test")).json["delivery_id"]
        settings = local_settings(encryption_key="a key that is only for tests")
        async with working(engine, settings) as outcomes:
            await until(lambda: outcomes)
        [message] = crm.messages(created["secret"])
    assert (message["data"]["rule"], message["data"]["account_id"]) == ("test", None)
    [attempt] = (await api.get(f"/v1/deliveries/{delivery_id}/attempts")).items
    assert (attempt["number"], attempt["status"]) == (1, 204)


async def test_one_that_is_disabled_is_not_tried(engine: AsyncEngine, api: Api) -> None:
    created = await create(api, enabled=False)
    for reason, words in ((None, "is disabled."), ("gone", "410"), ("failing", "failed for too long")):
        async with engine.begin() as connection:
            await connection.execute(update(webhook_endpoints).values(disabled_reason=reason))
        answer = await api.post(f"{PATH}/{created['id']}/test")
        assert answer.status == 409
        assert words in answer.json["detail"]
    async with engine.connect() as connection:
        assert (await connection.execute(select(alerts))).all() == []


# --- recover ----------------------------------------------------------------------------------------------------


async def failed(engine: AsyncEngine, endpoint_id: str, ages: list[timedelta], now: datetime) -> list[UUID]:
    """Deliveries that failed, written so long ago; their ids in this order."""
    for n in range(len(ages)):
        await add_alert(engine, f"account-{n}")
    async with engine.begin() as connection:
        ids = list(
            (await connection.execute(select(table.c.id).where(table.c.endpoint_id == UUID(endpoint_id)))).scalars()
        )
        for delivery_id, age in zip(ids, ages, strict=True):
            row = {"state": "failed", "attempts": 10, "tries": 10, "created_at": now - age, "finished_at": now}
            await connection.execute(update(table).where(table.c.id == delivery_id).values(row))
    return ids


async def due(engine: AsyncEngine, now: datetime) -> dict[UUID, float]:
    """Pending deliveries, and in how many seconds they are due."""
    async with engine.connect() as connection:
        rows = (await connection.execute(select(table).where(table.c.state == "pending"))).all()
    assert all((row.tries, row.attempts, row.finished_at) == (0, 10, None) for row in rows)
    return {row.id: (row.due_at - now).total_seconds() for row in rows}


async def test_what_failed_since_then_is_sent_again_spread_out_oldest_first(engine: AsyncEngine, api: Api) -> None:
    created = await create(api, rate_limit=4)
    now = api.clock.now
    ids = await failed(engine, created["id"], [n * HOUR for n in (1, 2, 3, 4, 5)], now)
    path = f"{PATH}/{created['id']}/recover"
    wanted = {"since": (now - 4 * HOUR).isoformat(), "until": (now - HOUR).isoformat()}
    answer = await api.post(path, {**wanted, "dry_run": True})
    assert (answer.status, answer.json) == (200, {"deliveries": 3, "dry_run": True})
    assert await due(engine, now) == {}
    assert (await api.post(path, wanted)).json == {"deliveries": 3, "dry_run": False}
    assert await due(engine, now) == {ids[3]: 0.0, ids[2]: 0.5, ids[1]: 1.0}
    assert (await api.post(path, wanted)).json == {"deliveries": 0, "dry_run": False}
    assert (await api.post(path, {"since": "1970-01-01T00:00:00Z", "until": None})).json["deliveries"] == 2


async def test_only_what_failed_at_this_endpoint(engine: AsyncEngine, api: Api) -> None:
    one, other = [await create(api) for _ in range(2)]
    now = api.clock.now
    ids = await failed(engine, one["id"], [HOUR] * 4, now)
    async with engine.begin() as connection:
        for delivery_id, state in zip(ids, ("succeeded", "superseded", "pending"), strict=False):
            await connection.execute(update(table).where(table.c.id == delivery_id).values(state=state))
        before = {row.id: row.state for row in await connection.execute(select(table))}
    body = {"since": (now - 2 * HOUR).isoformat()}
    assert (await api.post(f"{PATH}/{other['id']}/recover", body)).json["deliveries"] == 0
    assert (await api.post(f"{PATH}/{one['id']}/recover", body)).json["deliveries"] == 1
    async with engine.connect() as connection:
        after = {row.id: row.state for row in await connection.execute(select(table))}
    assert after == before | {ids[3]: "pending"}


async def test_without_a_limit_ten_come_a_second(engine: AsyncEngine, api: Api) -> None:
    created = await create(api)
    now = api.clock.now
    await failed(engine, created["id"], [HOUR] * 3, now)
    await api.post(f"{PATH}/{created['id']}/recover", {"since": (now - HOUR).isoformat()})
    assert sorted((await due(engine, now)).values()) == [0.0, 0.1, 0.2]


async def test_two_that_recover_at_once_send_each_once(engine: AsyncEngine, api: Api) -> None:
    created = await create(api)
    now = api.clock.now
    await failed(engine, created["id"], [n * HOUR for n in range(20)], now)
    wanted = FailedDeliveries(endpoint_id=UUID(created["id"]), since=now - 48 * HOUR)
    async with engine.connect() as first, engine.connect() as second:
        assert await resend.recover(first, wanted, now) == 20
        later = asyncio.create_task(resend.recover(second, wanted, now))
        await asyncio.sleep(0.2)
        assert not later.done()
        await first.commit()
        assert await later == 0
        await second.commit()
    assert len(await due(engine, now)) == 20
    async with engine.begin() as connection:
        claimed = await outbox.claim(connection, 100, now + HOUR, 60, SendingLimits(room={}, default_room=100))
    assert {(each.attempt, each.tries) for each in claimed} == {(11, 1)}


async def test_bad_recoveries_are_refused_by_field(engine: AsyncEngine, api: Api) -> None:
    path = f"{PATH}/{(await create(api))['id']}/recover"
    now = api.clock.now
    past, future = (now - HOUR).isoformat(), (now + HOUR).isoformat()
    for body, field in (
        ({}, "since"),
        ({"since": future}, "since"),
        ({"since": past, "until": past}, "since"),
        ({"since": past, "until": (now - 2 * HOUR).isoformat()}, "since"),
        ({"since": "2026-03-01T00:00:00"}, "since"),
        ({"since": "yesterday"}, "since"),
        ({"since": past, "until": "x"}, "until"),
        ({"since": past, "dry_run": "yes"}, "dry_run"),
        ({"since": past, "states": ["failed"]}, "states"),
    ):
        answer = await api.post(path, body)
        assert (answer.status, answer.fields) == (422, [field]), body
    assert (await api.post(f"{PATH}/{uuid4()}/recover", {"since": past})).status == 404
    # The first and the last moment that UTC has are answered; what lies beyond them isn't a moment in UTC.
    for body in (
        {"since": "0001-01-01T00:00:00Z"},
        {"since": past, "until": "9999-12-31T23:59:59Z"},
        {"since": "0001-01-01T00:00:00Z", "until": "0001-01-02T00:00:00+14:00"},
    ):
        assert (await api.post(path, body)).json == {"deliveries": 0, "dry_run": False}, body
    for body, field in (
        ({"since": "0001-01-01T00:00:00+14:00"}, "since"),
        ({"since": past, "until": "9999-12-31T23:59:59-14:00"}, "until"),
    ):
        answer = await api.post(path, body)
        assert (answer.status, answer.fields) == (422, [field]), body
