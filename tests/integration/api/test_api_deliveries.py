"""/v1/deliveries: one delivery, its attempts, and sending it again."""

import asyncio
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from service.delivery.retry import STANDARD, RetryAt, decide
from service.storage.database.tables import deliveries as table
from service.storage.database.tables import delivery_attempts
from service.storage.webhooks import outbox, resend
from service.storage.webhooks.delivery_results import AttemptRecord
from service.storage.webhooks.outbox import ClaimedDelivery, SendingLimits
from tests.support import webhooks
from tests.support.api import Api, make_key
from tests.support.webhooks import add_alert, add_endpoint

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)


@pytest.fixture
async def delivery(engine: AsyncEngine, api: Api) -> str:
    """A delivery that is due."""
    await add_endpoint(engine, "https://crm.example/")
    await add_alert(engine, "acme")
    api.clock.now += HOUR
    async with engine.connect() as connection:
        return str((await connection.execute(select(table.c.id))).scalar_one())


async def claim(engine: AsyncEngine, now: datetime, seconds: float = 60) -> ClaimedDelivery:
    async with engine.begin() as connection:
        [claimed] = await outbox.claim(connection, 1, now, seconds, SendingLimits(room={}, default_room=1))
    return claimed


async def record(engine: AsyncEngine, claimed: ClaimedDelivery, state: Any, now: datetime) -> bool:
    attempt = AttemptRecord(
        started_at=now,
        duration_seconds=0.25,
        status=None if state == "failed" else 200,
        error="no answer within 15 s" if state == "failed" else None,
        response="thanks",
    )
    async with engine.begin() as connection:
        return await webhooks.record(connection, claimed, attempt, state, now, now)


async def test_a_delivery_and_its_attempts_newest_first(engine: AsyncEngine, api: Api, delivery: str) -> None:
    read = (await api.get(f"/v1/deliveries/{delivery}")).json
    assert (read["id"], read["account_id"], read["state"], read["last_attempt"]) == (delivery, "acme", "pending", None)
    assert (await api.get(f"/v1/deliveries/{delivery}/attempts")).items == []
    row = {"delivery_id": delivery, "started_at": api.clock.now, "duration_seconds": 0.5, "status": 500}
    async with engine.begin() as connection:
        await connection.execute(insert(delivery_attempts).values([{**row, "number": n} for n in range(1, 6)]))
    attempts = f"/v1/deliveries/{delivery}/attempts"
    assert [each["number"] for each in (await api.get(attempts)).items] == [5, 4, 3, 2, 1]
    for size in (1, 2, 5):
        assert [each["number"] for each in await api.all_items(f"{attempts}?page_size={size}")] == [5, 4, 3, 2, 1]
    (last,) = (await api.get(f"{attempts}?page_size=1")).items
    assert (await api.get(f"/v1/deliveries/{delivery}")).json["last_attempt"] == last
    assert last.keys() == {"number", "started_at", "duration_seconds", "status", "error", "response"}
    for token in ("x", "WzFd", "OTk5OTk5"):
        assert (await api.get(f"{attempts}?page_token={token}")).fields == ["page_token"]


async def test_one_that_is_none(api: Api) -> None:
    for path in (f"/v1/deliveries/{uuid4()}", f"/v1/deliveries/{uuid4()}/attempts"):
        assert (await api.get(path)).status == 404
    assert (await api.post(f"/v1/deliveries/{uuid4()}/resend")).status == 404
    assert (await api.get("/v1/deliveries/x")).fields == ["delivery_id"]


@pytest.mark.parametrize("state", ["succeeded", "failed", "superseded"])
async def test_one_that_is_over_is_sent_again_with_its_attempts_and_a_new_schedule(
    engine: AsyncEngine, api: Api, delivery: str, state: str
) -> None:
    for _ in range(2):
        claimed = await claim(engine, api.clock.now)
        await record(engine, claimed, "pending", api.clock.now)
    assert (claimed.attempt, claimed.tries) == (2, 2)
    await record(engine, await claim(engine, api.clock.now), state, api.clock.now)
    api.clock.now += HOUR
    answer = await api.post(f"/v1/deliveries/{delivery}/resend")
    assert answer.status == 202
    shown = answer.json
    assert (shown["state"], shown["attempts"], shown["finished_at"]) == ("pending", 3, None)
    assert datetime.fromisoformat(shown["due_at"]) == api.clock.now
    claimed = await claim(engine, api.clock.now)
    assert (claimed.attempt, claimed.tries) == (4, 1)
    first = decide(STANDARD, claimed.tries, 500, None, api.clock.now, 0.0)
    assert first == RetryAt(api.clock.now + STANDARD.delays[0])
    assert await record(engine, claimed, "succeeded", api.clock.now)
    numbers = [each["number"] for each in (await api.get(f"/v1/deliveries/{delivery}/attempts")).items]
    assert numbers == [4, 3, 2, 1]


async def test_one_that_is_pending_or_being_sent_is_not(engine: AsyncEngine, api: Api, delivery: str) -> None:
    answer = await api.post(f"/v1/deliveries/{delivery}/resend")
    assert answer.status == 409
    assert "pending already" in answer.json["detail"]
    claimed = await claim(engine, api.clock.now)
    answer = await api.post(f"/v1/deliveries/{delivery}/resend")
    assert answer.status == 409
    assert "being sent" in answer.json["detail"]
    assert await record(engine, claimed, "succeeded", api.clock.now)
    assert (await api.post(f"/v1/deliveries/{delivery}/resend")).status == 202
    reader = await make_key(engine, "read")
    assert (await api.post(f"/v1/deliveries/{delivery}/resend", key=reader)).status == 403


async def test_one_whose_result_is_being_recorded_is_not_waited_for(
    engine: AsyncEngine, api: Api, delivery: str
) -> None:
    claimed = await claim(engine, api.clock.now)
    attempt = AttemptRecord(started_at=api.clock.now, duration_seconds=0.1, status=200, error=None, response=None)
    async with engine.begin() as recording:
        await webhooks.record(recording, claimed, attempt, "succeeded", api.clock.now, api.clock.now)
        answer = await asyncio.wait_for(api.post(f"/v1/deliveries/{delivery}/resend"), 5)
        assert answer.status == 409
        assert "being sent" in answer.json["detail"]
    assert (await api.get(f"/v1/deliveries/{delivery}")).json["state"] == "succeeded"


async def test_of_two_that_resend_at_once_one_does(engine: AsyncEngine, api: Api, delivery: str) -> None:
    await record(engine, await claim(engine, api.clock.now), "succeeded", api.clock.now)
    answers = await asyncio.gather(*(api.post(f"/v1/deliveries/{delivery}/resend") for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [202, 409, 409, 409]


async def test_a_sender_that_comes_too_late_does_not_end_a_delivery_that_was_restarted(
    engine: AsyncEngine, api: Api, delivery: str
) -> None:
    late = await claim(engine, api.clock.now)
    async with engine.begin() as connection:
        await connection.execute(update(table).values(state="superseded"))
    api.clock.now += HOUR
    async with engine.begin() as connection:
        assert await resend.resend(connection, UUID(delivery), api.clock.now)
    assert not await record(engine, late, "failed", api.clock.now)
    assert (await api.get(f"/v1/deliveries/{delivery}")).json["state"] == "pending"
