"""Delivery to HubSpot, or to what answers as it does."""

from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from service.alerts import sample_alert
from service.delivery.retry import RetryAt, RetryPolicy
from service.storage.webhooks import delivery_log
from tests.support.crm import Asked, crm, hubspot_done, reply, sealed
from tests.support.webhooks import add_alert, add_endpoint, local_settings, states, until, working

pytestmark = pytest.mark.anyio
TOKEN = {"Authorization": "Bearer pat-eu1-0000"}


async def test_a_company_is_upserted_with_the_endpoints_token_and_properties(engine: AsyncEngine) -> None:
    async with crm(hubspot_done) as hubspot:
        more = {"headers": sealed(TOKEN), "options": sealed({"id_property": "crm_key"})}
        await add_endpoint(engine, f"{hubspot.url}/", target="hubspot", **more)
        await add_alert(engine, "acme", data={"account_id": "acme", "band": "red", "score": 12.5})
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: outcomes)
    [asked] = hubspot.asked
    assert (asked.method, asked.path) == ("POST", "/crm/v3/objects/companies/batch/upsert")
    assert asked.authorization == "Bearer pat-eu1-0000"
    [company] = asked.json["inputs"]
    assert (company["idProperty"], company["id"]) == ("crm_key", "acme")
    assert company["properties"]["account_health_score"] == "12.5"
    assert await states(engine) == ["succeeded"]


async def test_what_is_about_no_single_account_is_left_out(engine: AsyncEngine) -> None:
    await add_endpoint(engine, "https://api.hubapi.com", target="hubspot")
    everything = await add_endpoint(engine, "https://other.example.com")
    await add_alert(engine, None, None, type="health.digest", data={"account_id": None})
    async with engine.connect() as conn:
        [delivery] = await delivery_log.page(conn, everything, before=None, limit=5)
    assert delivery.account_id is None
    assert await states(engine) == ["pending"]


async def test_hubspot_that_asks_for_time_is_given_it(engine: AsyncEngine) -> None:
    async def busy(_: Asked) -> web.Response:
        problem = {
            "status": "error",
            "message": "You have reached your ten_secondly_rolling limit.",
            "errorType": "RATE_LIMIT",
        }
        return reply(429, problem, **{"Retry-After": "3600"})

    async with crm(busy) as hubspot:
        await add_endpoint(engine, hubspot.url, target="hubspot")
        await add_alert(engine, "acme")
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: outcomes)
    assert isinstance(outcomes[0].outcome, RetryAt)
    assert outcomes[0].outcome.when > datetime.now(UTC) + timedelta(minutes=59)


async def test_a_wrong_token_is_a_failure_that_people_can_read(engine: AsyncEngine) -> None:
    async def unknown(_: Asked) -> web.Response:
        return reply(
            401,
            {
                "status": "error",
                "message": "Authentication credentials not found",
                "category": "INVALID_AUTHENTICATION",
            },
        )

    async with crm(unknown) as hubspot:
        endpoint = await add_endpoint(engine, hubspot.url, target="hubspot")
        await add_alert(engine, "acme")
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: outcomes)
    async with engine.connect() as conn:
        [delivery] = await delivery_log.page(conn, endpoint, before=None, limit=1)
        [made, *_] = await delivery_log.attempts(conn, delivery.id, limit=10)
    assert made.status == 401
    assert "Authentication credentials not found" in (made.response or "")


async def test_a_207_with_errors_is_reported_and_tried_again(engine: AsyncEngine) -> None:
    async def refused_at_first(asked: Asked) -> web.Response:
        if len(hubspot.asked) > 1:
            return await hubspot_done(asked)
        error = {
            "status": "error",
            "category": "VALIDATION_ERROR",
            "message": "Property account_health_band is unknown",
        }
        return reply(207, {"status": "COMPLETE", "results": [], "numErrors": 1, "errors": [error]})

    async with crm(refused_at_first) as hubspot:
        endpoint = await add_endpoint(engine, hubspot.url, target="hubspot")
        await add_alert(engine, "acme")
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: len(outcomes) == 2)
    async with engine.connect() as conn:
        [delivery] = await delivery_log.page(conn, endpoint, before=None, limit=5)
        second, first = await delivery_log.attempts(conn, delivery.id, limit=5)
    assert (delivery.state, second.status, second.error) == ("succeeded", 200, None)
    assert first.status == 207
    assert "Property account_health_band is unknown" in str(first.error)


@pytest.mark.parametrize(
    "body",
    [
        b'{"status":"COMPLETE","results":[],"numErrors":1,"errors":[{"message":"not valid"}]}',
        b"<!DOCTYPE html><html><title>Sign in</title></html>",
        b"",
        b"ok",
    ],
)
async def test_a_200_that_hubspot_would_not_answer_is_no_success(engine: AsyncEngine, body: bytes) -> None:
    async def answer(_: Asked) -> web.Response:
        return web.Response(status=200, body=body)

    async with crm(answer) as hubspot:
        await add_endpoint(engine, hubspot.url, target="hubspot")
        await add_alert(engine, "acme")
        async with working(engine, local_settings(), policy=RetryPolicy((timedelta(hours=1),))) as outcomes:
            await until(lambda: outcomes)
    assert (outcomes[0].status, outcomes[0].failure) == (200, "refused")
    assert isinstance(outcomes[0].outcome, RetryAt)


async def test_a_company_with_more_properties_than_are_read_is_written_all_the_same(engine: AsyncEngine) -> None:
    async def long(asked: Asked) -> web.Response:
        answer = await hubspot_done(asked)
        return web.Response(text=(answer.text or "").replace('"512"', '"512", "about": "' + "x" * 100_000 + '"'))

    async with crm(long) as hubspot:
        await add_endpoint(engine, hubspot.url, target="hubspot")
        await add_alert(engine, "acme")
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: outcomes)
    assert await states(engine) == ["succeeded"]


async def test_the_version_of_the_api_is_an_option(engine: AsyncEngine) -> None:
    async with crm(hubspot_done) as hubspot:
        await add_endpoint(engine, hubspot.url, target="hubspot", options=sealed({"api_version": "2026-09"}))
        await add_alert(engine, "acme")
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: outcomes)
    assert hubspot.asked[0].path == "/crm/objects/2026-09/companies/batch/upsert"


async def test_a_test_message_goes_the_way_of_all_and_writes_a_company_of_its_own(engine: AsyncEngine) -> None:
    async with crm(hubspot_done) as hubspot:
        endpoint = await add_endpoint(engine, hubspot.url, target="hubspot")
        async with engine.begin() as conn:
            await sample_alert.send(conn, endpoint, datetime.now(UTC), "http://localhost")
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: outcomes)
    [company] = hubspot.asked[0].json["inputs"]
    assert (company["id"], company["properties"]["name"]) == ("account-health-test", "account-health test")
    assert await states(engine) == ["succeeded"]
