"""Delivery from the outbox to real receivers, on a real database."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from service.delivery.retry import GaveUp, RetryAt, Succeeded
from service.runtime.vault import Vault
from service.storage.webhooks import delivery_log, endpoints, resend
from tests.support.webhooks import (
    QUICK,
    SECRET,
    add_alert,
    add_endpoint,
    answers,
    compact,
    local_settings,
    receiver,
    states,
    until,
    working,
)

pytestmark = pytest.mark.anyio


async def test_each_alert_reaches_each_endpoint_once_though_two_workers_compete(engine: AsyncEngine) -> None:
    async with receiver() as one, receiver() as two:
        for each in (one, two):
            await add_endpoint(engine, each.url)
        sent = {str(await add_alert(engine, f"account-{n}")) for n in range(40)}
        async with working(engine, local_settings()) as first, working(engine, local_settings()) as second:
            await until(lambda: len(first) + len(second) == 80)
        for each in (one, two):
            assert Counter(each.ids) == Counter(sent)
            assert {message["data"]["account_id"] for message in each.messages()} == {f"account-{n}" for n in range(40)}
        assert first
        assert second
        assert await states(engine) == ["succeeded"] * 80


async def test_the_message_is_the_standard_one(engine: AsyncEngine) -> None:
    async with receiver() as crm:
        headers = Vault(local_settings().encryption_key).seal(compact({"X-Tenant": "42", "Host": "forged.example"}))
        await add_endpoint(engine, crm.url, headers=headers)
        alert_id = await add_alert(engine, "acme", created_at=datetime(2026, 3, 1, 12, tzinfo=UTC))
        async with working(engine, local_settings()):
            await until(lambda: crm.bodies)
    assert crm.bodies == [
        '{"type":"health.threshold.crossed","timestamp":"2026-03-01T12:00:00Z","data":{"account_id":"acme",'
        '"account_name":"Sørensen 株式会社","band":"red","sequence":1}}'.encode()
    ]
    assert crm.ids == [str(alert_id)]
    assert crm.headers[0]["content-type"] == "application/json"
    assert crm.headers[0]["x-tenant"] == "42"
    assert crm.headers[0]["host"] == f"127.0.0.1:{crm.port}"
    assert crm.messages()


async def test_a_failed_attempt_is_made_again_with_the_same_id_and_kept(engine: AsyncEngine) -> None:
    async with receiver(answers(500, 503, 200)) as crm:
        endpoint = await add_endpoint(engine, crm.url)
        alert_id = await add_alert(engine, "acme")
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: len(outcomes) == 3)
        assert crm.ids == [str(alert_id)] * 3
        assert crm.messages()
        assert len(set(crm.bodies)) == 1
    async with engine.connect() as conn:
        [delivery] = await delivery_log.page(conn, endpoint, before=None, limit=10)
        made = await delivery_log.attempts(conn, delivery.id, limit=10)
    assert (delivery.state, delivery.attempts, delivery.account_id) == ("succeeded", 3, "acme")
    assert delivery.finished_at
    assert [(attempt.number, attempt.status) for attempt in made] == [(3, 200), (2, 503), (1, 500)]


async def test_after_the_last_attempt_it_is_given_up(engine: AsyncEngine) -> None:
    async with receiver(answers(500)) as crm:
        await add_endpoint(engine, crm.url)
        await add_alert(engine, "acme")
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: outcomes and isinstance(outcomes[-1].outcome, GaveUp))
            await asyncio.sleep(0.2)
        assert len(crm.ids) == len(QUICK.delays) + 1
    assert await states(engine) == ["failed"]


async def test_sent_again_it_has_all_its_attempts_once_more(engine: AsyncEngine) -> None:
    attempts = len(QUICK.delays) + 1
    # Not a 5xx: several of these in a row would open its breaker.
    async with receiver(answers(404)) as crm:
        endpoint = await add_endpoint(engine, crm.url)
        await add_alert(engine, "acme")
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: len(outcomes) == attempts)
            async with engine.begin() as conn:
                [delivery] = await delivery_log.page(conn, endpoint, before=None, limit=1)
                assert await resend.resend(conn, delivery.id, datetime.now(UTC))
            await until(lambda: len(outcomes) == 2 * attempts)
            await asyncio.sleep(0.2)
        assert len(crm.ids) == 2 * attempts
    assert [isinstance(each.outcome, GaveUp) for each in outcomes] == [False, False, False, True] * 2
    assert [each.label for each in outcomes] == ["refused", "refused", "refused", "gave_up"] * 2
    assert [each.delivery.attempt for each in outcomes] == list(range(1, 2 * attempts + 1))
    assert await states(engine) == ["failed"]


async def test_a_receiver_that_asks_for_time_is_given_it(engine: AsyncEngine) -> None:
    async def busy(_: web.Request) -> web.StreamResponse:
        return web.Response(status=429, headers={"Retry-After": "3600"})

    async with receiver(busy) as crm:
        await add_endpoint(engine, crm.url)
        await add_alert(engine, "acme")
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: outcomes)
    assert isinstance(outcomes[0].outcome, RetryAt)
    assert outcomes[0].label == "refused"
    assert timedelta(minutes=59) < outcomes[0].outcome.when - datetime.now(UTC) <= timedelta(hours=1)


async def test_410_disables_the_endpoint_and_what_is_pending_waits(engine: AsyncEngine) -> None:
    async with receiver(answers(410)) as crm:
        endpoint = await add_endpoint(engine, crm.url)
        for account in ("acme", "beta"):
            await add_alert(engine, account)
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: outcomes)
            assert outcomes[0].outcome == GaveUp("gone")
            await asyncio.sleep(0.2)
        assert len(crm.ids) == 1
    async with engine.connect() as conn:
        stored = await endpoints.get(conn, endpoint)
    assert stored
    assert (stored.enabled, stored.disabled_reason) == (False, "gone")
    assert await states(engine) == ["failed", "pending"]


async def test_an_endpoint_that_answers_gets_several_at_a_time_and_the_next_at_once(engine: AsyncEngine) -> None:
    under_way, most = 0, 0

    async def answer(_: web.Request) -> web.StreamResponse:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.05)
        under_way -= 1
        return web.Response()

    async with receiver(answer) as crm:
        await add_endpoint(engine, crm.url)
        for n in range(20):
            await add_alert(engine, f"account-{n}")
        async with working(engine, local_settings(webhook_concurrency=32), poll_seconds=60):
            await until(lambda: len(crm.ids) == 20)
    assert most == 4


async def test_ordered_endpoints_get_an_accounts_alerts_one_after_the_other(engine: AsyncEngine) -> None:
    failures = {"acme": 2}

    async def answer(request: web.Request) -> web.StreamResponse:
        account = (await request.json())["data"]["account_id"]
        failures[account] = failures.get(account, 0) - 1
        return web.Response(status=500 if failures[account] >= 0 else 200)

    async with receiver(answer) as crm:
        await add_endpoint(engine, crm.url, ordered=True)
        for sequence in (1, 2, 3):
            await add_alert(engine, "acme", sequence)
            await add_alert(engine, "beta", sequence)
        async with working(engine, local_settings(webhook_concurrency=64)) as outcomes:
            await until(lambda: len(outcomes) == 8)
        order = [(message["data"]["account_id"], message["data"]["sequence"]) for message in crm.messages()]
    assert [sequence for account, sequence in order if account == "acme"] == [1, 1, 1, 2, 3]
    assert [sequence for account, sequence in order if account == "beta"] == [1, 2, 3]
    assert order.index(("beta", 3)) < order.index(("acme", 2))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"encryption_key": None}, "HEALTH_ENCRYPTION_KEY is not set"),
        ({"encryption_key": "another key than before"}, "can't be opened"),
        ({"webhook_allow_http": False}, "https"),
        ({"webhook_allow_networks": ""}, "private"),
    ],
)
async def test_what_settings_forbid_or_lack_is_not_sent_and_the_attempt_says_why(
    engine: AsyncEngine, changes: dict[str, object], error: str
) -> None:
    async with receiver() as crm:
        endpoint = await add_endpoint(engine, crm.url)
        await add_alert(engine, "acme")
        async with working(engine, local_settings(**changes)) as outcomes:
            await until(lambda: outcomes)
        assert not crm.ids
    async with engine.connect() as conn:
        [delivery] = await delivery_log.page(conn, endpoint, before=None, limit=1)
        made = await delivery_log.attempts(conn, delivery.id, limit=10)
    assert error in (made[-1].error or "")


async def test_logs_hold_no_url_secret_or_body(engine: AsyncEngine) -> None:
    async with receiver(answers(500, 200)) as crm:
        await add_endpoint(engine, f"{crm.url}?token=hidden")
        await add_alert(engine, "acme")
        with capture_logs() as logs:
            async with working(engine, local_settings()) as outcomes:
                await until(lambda: len(outcomes) == 2)
    assert len(logs) >= 2
    written = repr(logs) + repr(outcomes)
    assert not any(told in written for told in ("hidden", SECRET, "acme", str(crm.port)))
    assert isinstance(outcomes[1].outcome, Succeeded)
