"""Delivery to Salesforce, or to what answers as it does: signing in, and the upsert."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from service.alerts import sample_alert
from service.delivery.attempt import AttemptOutcome
from service.delivery.retry import GaveUp, RetryAt, RetryPolicy, Succeeded
from service.storage.webhooks import delivery_log
from service.storage.webhooks.delivery_log import LoggedAttempt
from tests.support.crm import CLIENT_SECRET, Asked, Crm, Salesforce, crm, reply, sealed
from tests.support.webhooks import add_alert, add_endpoint, local_settings, states, until, working

pytestmark = pytest.mark.anyio
TOKEN_PATH = "/services/oauth2/token"
RECORD = "/services/data/v62.0/sobjects/Account/Health_Account_Id__c/"


async def add_salesforce(engine: AsyncEngine, salesforce: Crm, **options: object) -> UUID:
    app = {"token_url": f"{salesforce.url}{TOKEN_PATH}", "client_id": "3MVG", "client_secret": CLIENT_SECRET}
    headers = sealed({"authorization": "Bearer of-somebody-else"})
    given = sealed({**app, **options})
    return await add_endpoint(engine, salesforce.url, target="salesforce", options=given, headers=headers)


async def attempts(engine: AsyncEngine, outcome: AttemptOutcome) -> list[LoggedAttempt]:
    async with engine.connect() as conn:
        return await delivery_log.attempts(conn, outcome.delivery.id, limit=10)


async def test_accounts_are_upserted_with_one_token_for_all(engine: AsyncEngine) -> None:
    org = Salesforce()
    async with crm(org) as salesforce:
        await add_salesforce(engine, salesforce)
        org.accounts[f"{RECORD}account-1"] = {}
        for n in range(5):
            await add_alert(engine, f"account-{n}")
        await add_alert(engine, "a/b")
        async with working(engine, local_settings(webhook_concurrency=64)) as outcomes:
            await until(lambda: len(outcomes) == 6)
    assert len(org.tokens) == 1
    assert sorted(str(outcome.status) for outcome in outcomes) == ["201"] * 5 + ["204"]
    assert org.accounts.keys() == {f"{RECORD}account-{n}" for n in range(5)} | {f"{RECORD}a%2Fb"}
    assert org.accounts[f"{RECORD}a%2Fb"]["Health_Band__c"] == "red"
    assert {(asked.method, asked.authorization) for asked in salesforce.asked[1:]} == {
        ("PATCH", f"Bearer {org.tokens[0]}")
    }
    assert await states(engine) == ["succeeded"] * 6


async def test_a_session_that_ended_is_renewed_within_the_attempt(engine: AsyncEngine) -> None:
    org = Salesforce()
    async with crm(org) as salesforce:
        await add_salesforce(engine, salesforce)
        async with working(engine, local_settings()) as outcomes:
            await add_alert(engine, "acme")
            await until(lambda: len(outcomes) == 1)
            org.expired.add(org.tokens[0])
            await add_alert(engine, "beta")
            await until(lambda: len(outcomes) == 2)
    assert [asked.path for asked in salesforce.asked] == [
        TOKEN_PATH, f"{RECORD}acme", f"{RECORD}beta", TOKEN_PATH, f"{RECORD}beta",
    ]  # fmt: skip
    assert isinstance(outcomes[1].outcome, Succeeded)
    assert [made.status for made in await attempts(engine, outcomes[1])] == [201]


async def test_a_fresh_token_that_is_refused_too_fails_the_attempt(engine: AsyncEngine) -> None:
    async def never(asked: Asked) -> web.Response:
        if asked.path == TOKEN_PATH:
            return reply(200, {"access_token": "t"})
        return reply(401, [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}])

    async with crm(never) as salesforce:
        await add_salesforce(engine, salesforce)
        await add_alert(engine, "acme")
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: outcomes)
        assert [asked.path for asked in salesforce.asked[:4]] == [TOKEN_PATH, f"{RECORD}acme"] * 2
    assert outcomes[0].status == 401


async def test_a_field_that_isn_t_there_is_a_failure_that_people_can_read(engine: AsyncEngine) -> None:
    async with crm(Salesforce(field_is_there=False)) as salesforce:
        await add_salesforce(engine, salesforce)
        await add_alert(engine, "acme")
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: outcomes)
    made = (await attempts(engine, outcomes[0]))[-1]
    assert made.status == 404
    assert "NOT_FOUND" in (made.response or "")


async def test_a_client_that_salesforce_does_not_know_is_reported_without_secrets(engine: AsyncEngine) -> None:
    async with crm(Salesforce()) as salesforce:
        await add_salesforce(engine, salesforce, client_secret="of another app")
        await add_alert(engine, "acme")
        with capture_logs() as logs:
            async with working(engine, local_settings()) as outcomes:
                await until(lambda: outcomes)
    assert (outcomes[0].failure, outcomes[0].status) == ("token", None)
    made = await attempts(engine, outcomes[0])
    assert made[-1].error == "no token: token_url answered 400 (invalid_client)"
    assert not any(told in repr([logs, outcomes, made]) for told in ("of another app", "of+another", "3MVG"))


@pytest.mark.parametrize(
    ("token_url", "error"),
    [
        ("http://10.0.0.1/token", "no token: token_url must not point to a private"),
        ("ftp://127.0.0.1/token", "no token: token_url must start with https"),
        ("http://localhost.localdomain.invalid/token", "no token: the host name can't be resolved"),
    ],
)
async def test_tokens_come_from_no_place_where_webhooks_could_not_go(
    engine: AsyncEngine, token_url: str, error: str
) -> None:
    async with crm(Salesforce()) as salesforce:
        await add_salesforce(engine, salesforce, token_url=token_url)
        await add_alert(engine, "acme")
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: outcomes)
        assert not salesforce.asked
    assert outcomes[0].failure == "token"
    assert error in ((await attempts(engine, outcomes[0]))[-1].error or "")


async def test_a_token_that_never_comes_fails_the_attempt_in_time(engine: AsyncEngine) -> None:
    async def hang(_: Asked) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    async with crm(hang) as salesforce:
        await add_salesforce(engine, salesforce)
        await add_alert(engine, "acme")
        async with working(engine, local_settings(webhook_timeout_seconds=0.3)) as outcomes:
            await until(lambda: outcomes)
    assert outcomes[0].failure == "token"
    assert outcomes[0].duration_seconds < 1


DOTTED = ["acme.json", "acme.com", "a.b.xml", "株.inc", "it's.csv", "back\\slash.js"]


@pytest.mark.parametrize("update_only", [False, True])
async def test_ids_that_end_like_a_file_are_written_all_the_same(engine: AsyncEngine, update_only: bool) -> None:
    org = Salesforce(accounts={account: {} for account in DOTTED})
    async with crm(org) as salesforce:
        await add_salesforce(engine, salesforce, update_only=update_only)
        for account_id in DOTTED:
            await add_alert(engine, account_id)
        async with working(engine, local_settings(webhook_concurrency=64)) as outcomes:
            await until(lambda: len(outcomes) == len(DOTTED))
    assert [outcome.outcome for outcome in outcomes] == [Succeeded()] * len(DOTTED)
    assert {account: org.accounts[account]["Health_Band__c"] for account in DOTTED} == dict.fromkeys(DOTTED, "red")


@pytest.mark.parametrize("account_id", ["acme", "acme.json"])
async def test_with_update_only_an_account_that_is_not_known_is_not_created_and_not_asked_for_again(
    engine: AsyncEngine, account_id: str
) -> None:
    org = Salesforce()
    async with crm(org) as salesforce:
        await add_salesforce(engine, salesforce, update_only=True)
        await add_alert(engine, account_id)
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: outcomes)
    assert outcomes[0].outcome == GaveUp("refused")
    assert org.accounts == {}
    assert "update_only" in ((await attempts(engine, outcomes[0]))[0].error or "")


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (400, [{"errorCode": "REQUIRED_FIELD_MISSING", "message": "[Name]"}], "never", "REQUIRED_FIELD_MISSING"),
        (400, [{"errorCode": "INVALID_FIELD", "message": "No such column"}], "again", "No such column"),
        (403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "TotalRequests"}], "limited", "TotalRequests"),
        (300, ["/services/data/v62.0/sobjects/Account/001"], "never", "several accounts"),
        (200, [{"success": False, "errors": [{"statusCode": "STRING_TOO_LONG", "message": "x"}]}], "never", "TOO_LONG"),
        (200, [{"success": False, "errors": [{"statusCode": "UNABLE_TO_LOCK_ROW", "message": "x"}]}], "again", "LOCK"),
        (200, "<!doctype html><title>Sign in</title>", "again", "page"),
        (503, None, "again", None),
    ],
)
async def test_what_salesforce_answers_is_read(
    engine: AsyncEngine, status: int, body: object, kind: str, said: str | None
) -> None:
    async def answer(asked: Asked) -> web.Response:
        if asked.path == TOKEN_PATH:
            return reply(200, {"access_token": "t"})
        return web.Response(status=status, text=body) if isinstance(body, str) else reply(status, body)

    async with crm(answer) as salesforce:
        await add_salesforce(engine, salesforce)
        await add_alert(engine, "acme")
        async with working(engine, local_settings(), policy=RetryPolicy((timedelta(hours=1),))) as outcomes:
            await until(lambda: outcomes)
    [outcome] = outcomes
    assert outcome.limited is (kind == "limited")
    assert (outcome.outcome == GaveUp("refused")) is (kind == "never")
    assert isinstance(outcome.outcome, RetryAt) is (kind in {"again", "limited"})
    assert (said or "") in ((await attempts(engine, outcome))[0].error or "")


async def test_a_token_that_is_asked_for_too_often_pauses_the_endpoint(engine: AsyncEngine) -> None:
    async def busy(_: Asked) -> web.Response:
        return reply(429, {"error": "slow_down"}, **{"Retry-After": "77"})

    async with crm(busy) as salesforce:
        await add_salesforce(engine, salesforce)
        await add_alert(engine, "acme")
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: outcomes)
    assert outcomes[0].limited
    assert (await attempts(engine, outcomes[0]))[0].error == "no token: token_url answered 429 (slow_down)"


@pytest.mark.parametrize("update_only", [False, True])
async def test_a_test_message_goes_the_way_of_all_and_writes_no_account(engine: AsyncEngine, update_only: bool) -> None:
    org = Salesforce()
    async with crm(org) as salesforce:
        endpoint = await add_salesforce(engine, salesforce, update_only=update_only)
        async with engine.begin() as conn:
            await sample_alert.send(conn, endpoint, datetime.now(UTC), "http://localhost")
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: outcomes)
    assert outcomes[0].outcome == Succeeded()
    assert [account["Name"] for account in org.accounts.values()] == ([] if update_only else ["account-health test"])
