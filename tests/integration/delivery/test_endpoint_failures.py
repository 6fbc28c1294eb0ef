"""Failing endpoints: since when they fail, notices about them, and their end; the clock is moved, nobody waits."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from service.alerts import operator_notices
from service.alerts.operator_notices import EndpointNotice
from service.delivery import endpoint_health
from service.delivery.endpoint_health import EndedAttempt
from service.delivery.retry import GaveUp, RetryAt, RetryDecision, Succeeded
from service.storage.database.tables import alerts, webhook_endpoints
from service.storage.database.tables import deliveries as deliveries_table
from service.storage.webhooks import delivery_results, endpoints, outbox
from service.storage.webhooks.delivery_results import AttemptRecord, AttemptResult
from service.storage.webhooks.endpoints import Endpoint
from service.storage.webhooks.outbox import ClaimedDelivery, SendingLimits
from tests.support.webhooks import (
    add_alert,
    add_endpoint,
    answers,
    local_settings,
    receiver,
    until,
    working,
)

pytestmark = pytest.mark.anyio

START = datetime.now(UTC) + timedelta(hours=1)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BASE_URL = "https://health.test"
State = Literal["pending", "succeeded", "failed"]
GAVE_UP: dict[int | None, RetryDecision] = {410: GaveUp("gone"), 413: GaveUp("refused")}


async def claim(engine: AsyncEngine, endpoint: UUID, now: datetime) -> ClaimedDelivery:
    async with engine.begin() as conn:
        [claimed] = await outbox.claim(conn, 1, now, 60, SendingLimits(room={endpoint: 1}, default_room=0))
    return claimed


async def end(
    engine: AsyncEngine, claimed: ClaimedDelivery, status: int | None, now: datetime, failure: Any = None
) -> EndpointNotice | None:
    """Record an ended attempt as the recorder does."""
    outcome: RetryDecision = Succeeded() if status == 200 else GAVE_UP.get(status, RetryAt(now))
    state: State = "succeeded" if status == 200 else "failed" if status in GAVE_UP else "pending"
    attempt = AttemptRecord(started_at=now, duration_seconds=0.5, status=status, error=None, response=None)
    attempted = AttemptResult(delivery=claimed, attempt=attempt, state=state, due_at=now)
    async with engine.begin() as conn:
        notices = await endpoint_health.record_attempts(
            conn, [EndedAttempt(attempted, outcome, failure)], now, BASE_URL
        )
        assert await delivery_results.record(conn, [attempted], now)
    return notices[0] if notices else None


async def attempt(
    engine: AsyncEngine, endpoint: UUID, status: int | None, now: datetime, **more: Any
) -> EndpointNotice | None:
    return await end(engine, await claim(engine, endpoint, now), status, now, **more)


async def stored(engine: AsyncEngine, endpoint: UUID) -> Endpoint:
    async with engine.connect() as conn:
        found = await endpoints.get(conn, endpoint)
    assert found
    return found


async def told(engine: AsyncEngine) -> list[tuple[UUID, dict[str, Any]]]:
    """Notices by the endpoint that they go to, in the order in which they were written."""
    query = (
        select(deliveries_table.c.endpoint_id, alerts.c.data)
        .join_from(alerts, deliveries_table)
        .where(alerts.c.type == "health.digest")
        .order_by(alerts.c.created_at)
    )
    async with engine.connect() as conn:
        return [(row.endpoint_id, row.data) for row in await conn.execute(query)]


@pytest.fixture
async def failing(engine: AsyncEngine) -> UUID:
    """An endpoint with a message for it."""
    endpoint = await add_endpoint(engine, "https://crm.example/secret-path?token=hidden", description="The CRM")
    await add_alert(engine, "acme")
    return endpoint


async def test_a_failure_is_noted_once_and_a_success_ends_it(engine: AsyncEngine, failing: UUID) -> None:
    await attempt(engine, failing, 500, START)
    await attempt(engine, failing, None, START + HOUR, failure="timeout")
    assert (await stored(engine, failing)).failing_since == START
    async with engine.begin() as conn:
        await conn.execute(update(webhook_endpoints).values(warned_at=START))
    await attempt(engine, failing, 200, START + 2 * HOUR)
    after = await stored(engine, failing)
    assert (after.failing_since, after.warned_at, after.enabled) == (None, None, True)


async def test_a_success_ends_it_even_if_it_was_claimed_before(engine: AsyncEngine, failing: UUID) -> None:
    await add_alert(engine, "beta")
    first, second = [await claim(engine, failing, START) for _ in range(2)]
    await end(engine, first, 500, START)
    await end(engine, second, 200, START)
    assert (await stored(engine, failing)).failing_since is None


async def test_the_endpoint_is_not_written_where_nothing_changes(engine: AsyncEngine, failing: UUID) -> None:
    for account in ("beta", "gamma", "delta"):
        await add_alert(engine, account)

    async def version() -> Any:
        async with engine.connect() as conn:
            return (await conn.execute(text("SELECT xmin, ctid, failing_since FROM webhook_endpoints"))).one()

    before = await version()
    await attempt(engine, failing, 200, START)
    assert await version() == before
    await attempt(engine, failing, 500, START)
    noted = await version()
    assert noted != before
    await attempt(engine, failing, 500, START + HOUR)
    assert await version() == noted


async def test_attempts_do_not_wait_for_a_transaction_that_holds_the_endpoint(
    engine: AsyncEngine, failing: UUID
) -> None:
    await add_alert(engine, "beta")
    async with engine.begin() as holder:
        await endpoints.lock(holder, failing)
        await asyncio.wait_for(attempt(engine, failing, 500, START), 2)
        await asyncio.wait_for(attempt(engine, failing, 200, START), 2)
    await attempt(engine, failing, 500, START + HOUR)
    assert (await stored(engine, failing)).failing_since == START + HOUR


async def test_failures_of_the_service_itself_do_not_count(engine: AsyncEngine, failing: UUID) -> None:
    await attempt(engine, failing, None, START, failure="prepare")
    assert (await stored(engine, failing)).failing_since is None


async def test_operators_are_warned_once_after_three_days_but_not_by_way_of_the_endpoint_itself(
    engine: AsyncEngine, failing: UUID
) -> None:
    operators = await add_endpoint(engine, "https://chat.example/", event_types=["health.digest"])
    await add_endpoint(engine, "https://other.example/", event_types=["health.threshold.crossed"])
    await add_endpoint(engine, "https://off.example/", enabled=False)
    for after in (timedelta(), HOUR, 3 * DAY - HOUR):
        assert await attempt(engine, failing, 500, START + after) is None
    assert await told(engine) == []
    warned_at = START + 3 * DAY
    assert await attempt(engine, failing, 500, warned_at)
    assert await attempt(engine, failing, 500, warned_at + HOUR) is None
    [(endpoint, data)] = await told(engine)
    assert endpoint == operators
    about = data.pop("endpoint")
    moments = {name: datetime.fromisoformat(about.pop(name)) for name in ("since", "will_be_disabled_at")}
    assert moments == {"since": START, "will_be_disabled_at": START + 5 * DAY}
    assert about == {"id": str(failing), "url_host": "crm.example", "description": "The CRM", "reason": "failing"}
    assert (data["rule"], data["state"], data["account_id"]) == ("endpoint failing", "digest", None)
    assert data["url"] == f"{BASE_URL}/v1/webhook-endpoints/{failing}"
    found = await stored(engine, failing)
    assert (found.enabled, found.warned_at) == (True, warned_at)


async def test_after_five_days_without_a_success_it_is_disabled(engine: AsyncEngine, failing: UUID) -> None:
    operators = await add_endpoint(engine, "https://chat.example/", event_types=["health.digest"])
    for after in (timedelta(), 3 * DAY, 5 * DAY - HOUR):
        await attempt(engine, failing, 500, START + after)
    assert (await stored(engine, failing)).enabled
    await attempt(engine, failing, 500, START + 5 * DAY)
    found = await stored(engine, failing)
    assert (found.enabled, found.disabled_reason, found.failing_since) == (False, "failing", START)
    assert [(endpoint, data["rule"]) for endpoint, data in await told(engine)] == [
        (operators, "endpoint failing"),
        (operators, "endpoint disabled"),
    ]
    about = (await told(engine))[1][1]["endpoint"]
    assert "will_be_disabled_at" not in about
    assert datetime.fromisoformat(about["disabled_at"]) == START + 5 * DAY


async def test_a_success_in_between_restarts_the_five_days(engine: AsyncEngine, failing: UUID) -> None:
    await add_alert(engine, "beta")
    for after, status in ((timedelta(), 500), (DAY, 200), (2 * DAY, 500), (5 * DAY, 500), (7 * DAY - HOUR, 500)):
        await attempt(engine, failing, status, START + after)
    assert (await stored(engine, failing)).enabled
    await attempt(engine, failing, 500, START + 7 * DAY)
    assert not (await stored(engine, failing)).enabled


async def test_a_failure_now_and_one_long_ago_do_not_disable_it(engine: AsyncEngine, failing: UUID) -> None:
    await attempt(engine, failing, 500, START)
    await attempt(engine, failing, 500, START + 9 * DAY)
    assert (await stored(engine, failing)).enabled
    await attempt(engine, failing, 500, START + 9 * DAY + HOUR)
    assert (await stored(engine, failing)).disabled_reason == "failing"


async def test_many_that_fail_at_once_warn_and_disable_once(engine: AsyncEngine, failing: UUID) -> None:
    await add_endpoint(engine, "https://chat.example/", event_types=["health.digest"])
    for n in range(5):
        await add_alert(engine, f"account-{n}")
    for after in (timedelta(), 3 * DAY, 5 * DAY - HOUR, 5 * DAY):
        now = START + after
        claimed = [await claim(engine, failing, now) for _ in range(6)]
        await asyncio.gather(*(end(engine, each, 500, now) for each in claimed))
    assert [data["rule"] for _, data in await told(engine)] == ["endpoint failing", "endpoint disabled"]


async def test_410_disables_it_at_once_and_is_reported(engine: AsyncEngine, failing: UUID) -> None:
    await add_endpoint(engine, "https://chat.example/", event_types=["health.digest"])
    with capture_logs() as logs:
        notice = await attempt(engine, failing, 410, START)
        assert notice
        operator_notices.log_endpoint_notice(notice)
    found = await stored(engine, failing)
    assert (found.enabled, found.disabled_reason, found.failing_since) == (False, "gone", START)
    [(_, data)] = await told(engine)
    assert (data["rule"], data["endpoint"]["reason"]) == ("endpoint disabled", "gone")
    assert [(line["event"], line["reason"]) for line in logs] == [("endpoint_disabled", "gone")]
    assert "hidden" not in repr(logs) + repr(data)


@asynccontextmanager
async def two_receivers(status: int) -> AsyncIterator[tuple[Any, Any]]:
    async with receiver(answers(status)) as crm, receiver() as chat:
        yield crm, chat


async def test_the_worker_notifies_the_other_endpoint(engine: AsyncEngine) -> None:
    since = datetime.now(UTC) - 6 * DAY
    async with two_receivers(500) as (crm, chat):
        endpoint = await add_endpoint(
            engine, crm.url, event_types=["health.threshold.crossed"], failing_since=since, warned_at=since
        )
        await add_endpoint(engine, chat.url, event_types=["health.digest"])
        await add_alert(engine, "acme")
        with capture_logs() as logs:
            async with working(engine, local_settings()):
                await until(lambda: chat.bodies)
        [message] = chat.messages()
    assert (message["type"], message["data"]["rule"]) == ("health.digest", "endpoint disabled")
    assert message["data"]["endpoint"]["id"] == str(endpoint)
    assert "endpoint_disabled" in [line["event"] for line in logs]
    assert len(crm.bodies) == 2
    assert (await stored(engine, endpoint)).disabled_reason == "failing"


async def test_enabled_again_it_starts_over_and_only_then(engine: AsyncEngine, failing: UUID) -> None:
    await attempt(engine, failing, 500, START)
    async with engine.begin() as conn:
        still = await endpoints.change(conn, failing, {"enabled": True, "description": "x"}, START)
        assert still
        assert still.failing_since == START
        await endpoints.disable(conn, failing, "failing", START)
        again = await endpoints.change(conn, failing, {"enabled": True}, START)
    assert again
    assert (again.enabled, again.disabled_reason, again.failing_since, again.warned_at) == (True, None, None, None)


async def refuse_another(engine: AsyncEngine, endpoint: UUID, account: str, now: datetime) -> EndpointNotice | None:
    """A message that is written `now`, and refused for good."""
    alert = await add_alert(engine, account)
    async with engine.begin() as conn:
        await conn.execute(
            update(deliveries_table)
            .where(deliveries_table.c.alert_id == alert, deliveries_table.c.endpoint_id == endpoint)
            .values(created_at=now, due_at=now)
        )
    return await attempt(engine, endpoint, 413, now)


async def test_an_endpoint_that_refuses_every_message_for_good_is_disabled(engine: AsyncEngine, failing: UUID) -> None:
    await attempt(engine, failing, 413, START)
    notices = [await refuse_another(engine, failing, f"account-{n}", START + n * DAY / 2) for n in range(1, 11)]
    assert [notice.what if notice else None for notice in notices] == [
        *[None] * 5,
        operator_notices.FAILING,
        *[None] * 3,
        operator_notices.DISABLED,
    ]
    after = await stored(engine, failing)
    assert (after.enabled, after.disabled_reason) == (False, "failing")


async def test_two_refusals_far_apart_disable_nothing(engine: AsyncEngine, failing: UUID) -> None:
    await attempt(engine, failing, 413, START)
    await refuse_another(engine, failing, "later", START + 9 * DAY)
    assert (await stored(engine, failing)).enabled
