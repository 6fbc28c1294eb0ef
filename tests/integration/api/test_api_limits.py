"""Limits on the rate, number and duration of requests: callers beyond them get an answer that says so, and nothing
leaks.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from scoring.state.calendar import day_of, to_micros
from scoring.state.events import UsageEvent
from service.api.access.rate_limits import KeyRates, WrongKeys
from service.api.http.problems import ProblemError
from service.evaluation.evaluate import Inputs, advance_accounts
from service.evaluation.policy import load_policy
from service.runtime.api_key import new_key
from service.storage.access.api_keys import StoredApiKey
from tests.integration.api.test_api_errors import assert_problem
from tests.support.api import Api, make_key, running
from tests.support.service import query, settings_for

pytestmark = pytest.mark.anyio

HEALTH = "/v1/accounts/acme/health"
LISTS = "/v1/alert-rules"


@pytest.fixture
def limited(database_url: str, engine: AsyncEngine) -> Callable[..., Any]:
    """An API with limits of the test's own, and a key."""

    def start(key: str, **limits: Any) -> Any:
        return running(settings_for(database_url, "127.0.0.1:1", "", **limits), key)

    return start


async def an_account(engine: AsyncEngine, api: Api) -> None:
    at = to_micros(api.clock.now)
    event = UsageEvent("acme", at, day_of(at), day_of(at), "login", 1, 1, "u1", "/app")
    async with engine.begin() as connection:
        policy = await load_policy(connection, 92)
        await advance_accounts(connection, Inputs({"acme": [event]}), policy, api.clock.now, base_url="http://test")


async def test_a_key_that_asks_too_often_waits_and_others_do_not(engine: AsyncEngine, limited: Any) -> None:
    async with limited(await make_key(engine, "admin"), http_rate_limit=3) as api:
        await an_account(engine, api)
        seconds = 100.0
        api.app.state.context.rates._monotonic = lambda: seconds
        left = []
        for path in (LISTS, HEALTH, HEALTH):
            answer = await api.get(path)
            assert answer.status == 200
            assert answer.headers["RateLimit-Policy"] == '"key";q=3;w=1'
            left.append(answer.headers["RateLimit"])
        assert left == ['"key";r=2;t=1', '"key";r=1;t=1', '"key";r=0;t=1']
        for path in (LISTS, HEALTH):
            refused = await api.get(path)
            assert_problem(refused, 429)
            assert refused.headers["Retry-After"] == "1"
            assert refused.headers["RateLimit"] == '"key";r=0;t=1'
        other = await make_key(engine, "read")
        assert (await api.get(HEALTH, key=other)).status == 200
        seconds += 1 / 3
        assert [(await api.get(path)).status for path in (HEALTH, HEALTH)] == [200, 429]
        assert "RateLimit" not in (await api.get("/livez", key=None)).headers


async def test_a_request_counts_once_however_it_is_asked(engine: AsyncEngine, limited: Any) -> None:
    async with limited(await make_key(engine, "admin"), http_rate_limit=100) as api:
        await an_account(engine, api)
        api.app.state.context.rates._monotonic = lambda: 100.0
        await api.get(f"{HEALTH}?day={api.clock.now.date()}")
        for path, left in ((HEALTH, 98), ("/v1/accounts/nobody/health", 97), (HEALTH, 96)):
            assert (await api.get(path)).headers["RateLimit"].startswith(f'"key";r={left};'), path


async def test_without_a_limit_nothing_is_counted(engine: AsyncEngine, limited: Any) -> None:
    async with limited(await make_key(engine, "admin"), http_rate_limit=0, http_wrong_keys=0) as api:
        assert "RateLimit" not in (await api.get(LISTS)).headers
        assert {(await api.get(LISTS, key=new_key().text)).status for _ in range(60)} == {401}


async def test_guessing_keys_is_slow_and_keeps_nobody_else_out(engine: AsyncEngine, limited: Any) -> None:
    async with limited(await make_key(engine, "admin"), http_wrong_keys=3) as api:
        seconds = 100.0
        api.app.state.context.wrong_keys._monotonic = lambda: seconds
        assert (await api.get(LISTS)).status == 200
        statuses = [(await api.get(LISTS, key=new_key().text)).status for _ in range(5)]
        assert statuses == [401, 401, 401, 429, 429]
        refused = await api.get(HEALTH, key=new_key().text)
        assert_problem(refused, 429)
        assert refused.headers["Retry-After"] == "20"
        assert (await api.get(LISTS)).status == 200, "a key that was good before"
        gone = (await api.post("/v1/api-keys", {"name": "gone", "scopes": ["read"]})).json["id"]
        assert (await api.delete(f"/v1/api-keys/{gone}")).status == 204
        assert (await api.get(LISTS)).status == 200, "and is looked up again, as one was deleted"
        assert_problem(await api.get(LISTS, key=None), 401)
        good_but_new = await make_key(engine, "read")
        assert (await api.get(LISTS, key=good_but_new)).status == 429
        seconds += 20
        assert (await api.get(LISTS, key=good_but_new)).status == 200
        assert (await api.get(LISTS, key=new_key().text)).status == 401


async def test_a_key_that_has_expired_is_no_guess(engine: AsyncEngine, limited: Any) -> None:
    """A program that goes on with one for days must not lock out the key that takes its place."""
    async with limited(await make_key(engine, "admin"), http_wrong_keys=3) as api:
        soon = (api.clock.now + timedelta(seconds=60)).isoformat()
        made = (await api.post("/v1/api-keys", {"name": "old", "scopes": ["read"], "expires_at": soon})).json["key"]
        assert (await api.get(LISTS, key=made)).status == 200
        api.clock.now += timedelta(seconds=61)
        assert {(await api.get(LISTS, key=made)).status for _ in range(20)} == {401}
        assert (await api.get(LISTS, key=await make_key(engine, "read"))).status == 200


def test_addresses_count_by_what_one_customer_has_of_them() -> None:
    wrong = WrongKeys(1, lambda: 0.0)
    for noted, same, other in (
        ("192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2"),
        ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"),
        ("unix", "unix", ""),
    ):
        wrong.note((noted, 1))
        wrong.admit((other, 1))
        with pytest.raises(Exception, match="429"):
            wrong.admit((same, 2))
    wrong.note(None)


async def test_addresses_are_those_that_trusted_proxies_tell(engine: AsyncEngine, limited: Any) -> None:
    for trusted, expected in (("", 429), ("192.0.2.0/24", 429), ("127.0.0.0/8", 401)):
        async with limited("", http_wrong_keys=1, http_trusted_proxies=trusted) as api:

            async def guess(address: str, api: Api = api) -> int:
                headers = {"X-Forwarded-For": f"{address}"}
                return (await api.get(LISTS, key=new_key().text, headers=headers)).status

            assert await guess("198.51.100.1") == 401
            assert await guess("198.51.100.2") == expected, trusted
            assert await guess("203.0.113.9, 198.51.100.1") == 429, trusted


def test_a_slow_rate_says_in_whole_seconds_when() -> None:
    rates = KeyRates(0.4, lambda: 0.0)
    key = StoredApiKey(id=None, name="", hint="", scopes=[], created_at=None, expires_at=None, last_used_at=None)  # type: ignore[arg-type] # only told apart
    first: dict[str, Any] = {}
    again: dict[str, Any] = {}
    rates.admit(first, key)
    with pytest.raises(ProblemError) as refused:
        rates.admit(again, key)
    assert (refused.value.status_code, refused.value.headers) == (429, {"Retry-After": "3"})
    assert dict(again["health.headers"]) == {b"ratelimit-policy": b'"key";q=1;w=3', b"ratelimit": b'"key";r=0;t=3'}


def test_a_caller_at_twice_the_rate_gets_half_of_the_answers() -> None:
    now = 0.0
    rates = KeyRates(2, lambda: now)
    key = StoredApiKey(id=None, name="", hint="", scopes=[], created_at=None, expires_at=None, last_used_at=None)  # type: ignore[arg-type] # only told apart
    admitted = 0
    for _ in range(400):
        with suppress(ProblemError):
            rates.admit({}, key)
            admitted += 1
        now += 0.25
    assert 200 <= admitted <= 202


async def slow(engine: AsyncEngine, seconds: float) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": seconds})


async def test_more_than_so_many_at_once_are_turned_away(
    engine: AsyncEngine, limited: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = asyncio.Event()

    async def waiting(*_: object, **__: object) -> list[object]:
        await go.wait()
        return []

    monkeypatch.setattr("service.storage.policy.rules.all_rules", waiting)
    async with limited(await make_key(engine, "admin"), http_max_requests=2) as api:
        await api.get("/v1/alerts")
        under_way = [asyncio.create_task(api.get(LISTS)) for _ in range(2)]
        await asyncio.sleep(0.2)
        for path in (HEALTH, LISTS, "/readyz", "/nothing"):
            refused = await api.get(path)
            assert_problem(refused, 503)
            assert refused.headers["Retry-After"] == "1"
            assert refused.headers["X-Request-Id"]
        assert (await api.get("/livez", key=None)).status == 200
        go.set()
        assert [(await task).status for task in under_way] == [200, 200]
        assert (await api.get(LISTS)).status == 200


async def test_what_takes_too_long_is_cancelled_and_its_connection_comes_back(
    engine: AsyncEngine, limited: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_slow = True

    async def sleepy(connection: Any) -> list[object]:
        if is_slow:
            await connection.execute(text("SELECT pg_sleep(20)"))
        return []

    monkeypatch.setattr("service.storage.policy.rules.all_rules", sleepy)
    limits = {"http_timeout_seconds": 0.5, "database_pool_size": 2}
    async with limited(await make_key(engine, "admin"), **limits) as api:
        await api.get("/v1/alerts")
        for _ in range(3):  # more than the pool has
            answers = await asyncio.gather(*(api.get(LISTS) for _ in range(2)))
            for answer in answers:
                assert_problem(answer, 503)
                assert answer.headers["Retry-After"] == "5"
        is_slow = False
        assert (await api.get(LISTS)).status == 200
        still = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
        left = await query(engine, f"{still} AND query LIKE '%sleep(20)%' AND pid <> pg_backend_pid()")
        assert not left, "Postgres goes on with what nobody waits for"


async def test_postgres_gives_up_what_takes_too_long(engine: AsyncEngine, limited: Any) -> None:
    async with limited(await make_key(engine, "admin"), http_timeout_seconds=0.4) as api:
        with pytest.raises(Exception, match="statement timeout"):
            await slow(api.app.state.context.engine, 5)


async def test_a_draft_of_many_accounts_may_take_longer(
    engine: AsyncEngine, limited: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def sleepy(*_: object) -> Any:
        await asyncio.sleep(0.8)
        raise asyncio.InvalidStateError("that far it came")

    monkeypatch.setattr("service.api.resources.scorecard_drafts.sample", sleepy)
    async with limited(await make_key(engine, "admin"), http_timeout_seconds=0.4) as api:
        measure = {"measure": "active_days", "window": 30, "weight": 1, "curve": [[0, 0], [30, 100]]}
        assert_problem(await api.post("/v1/scorecards/preview", {"name": "default", "measures": [measure]}), 500)


async def test_a_body_that_comes_too_slowly_is_a_408(engine: AsyncEngine, limited: Any) -> None:
    async with limited(await make_key(engine, "admin"), http_timeout_seconds=0.5) as api:

        async def trickle() -> Any:
            for _ in range(100):
                yield b" "
                await asyncio.sleep(0.1)

        answer = await api.post(LISTS, raw=trickle(), headers={"Content-Type": "application/json"})
        assert_problem(answer, 408)
        assert answer.headers["Connection"] == "close"
        assert (await api.get(LISTS)).status == 200
