"""Tokens: fetched one at a time, cached as long as they live, and never from an answer that can't be trusted."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from uuid import uuid4

import pytest
from aiohttp import web

from service.delivery.transport.dns import Resolver
from service.delivery.transport.http import Reply, open_session
from service.delivery.transport.oauth_tokens import TokenCache
from service.targets.target import Credentials
from tests.support.crm import CLIENT_SECRET, Asked, Crm, Salesforce, crm, reply
from tests.support.webhooks import local_settings

pytestmark = pytest.mark.anyio
ONE, OTHER = uuid4(), uuid4()


class Clock:
    """Time that passes when a test says so."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def fetching(
    answer: Callable[[Asked], Awaitable[web.Response]], clock: Clock
) -> AsyncIterator[tuple[TokenCache, Credentials, Crm]]:
    settings, resolver = local_settings(), Resolver(2)
    async with crm(answer) as server, open_session(settings.webhook_allow_networks, resolver) as session:
        credentials = Credentials(f"{server.url}/services/oauth2/token", "3MVG", CLIENT_SECRET)
        yield TokenCache(session, settings, clock=clock), credentials, server
    await resolver.close()


@pytest.mark.parametrize(("expires_in", "life"), [(None, 1800), (600, 540), ("600", 540), (86_400, 77_760)])
async def test_a_token_is_kept_as_long_as_it_lives(expires_in: object, life: float) -> None:
    clock = Clock()
    async with fetching(Salesforce(expires_in=expires_in), clock) as (tokens, credentials, _):
        first = await tokens.bearer(ONE, credentials, 5)
        clock.now += life - 1
        assert await tokens.bearer(ONE, credentials, 5) == first
        clock.now += 1
        assert await tokens.bearer(ONE, credentials, 5) != first


async def test_all_who_ask_at_once_wait_for_one_fetch() -> None:
    async with fetching(Salesforce(), Clock()) as (tokens, credentials, server):
        got = await asyncio.gather(*(tokens.bearer(ONE, credentials, 5) for _ in range(20)))
    assert set(got) == {"00D-token!0"}
    assert len(server.asked) == 1


async def test_endpoints_and_credentials_do_not_share_a_token() -> None:
    async with fetching(Salesforce(), Clock()) as (tokens, credentials, server):
        await tokens.bearer(ONE, credentials, 5)
        await tokens.bearer(OTHER, credentials, 5)
        await tokens.bearer(ONE, replace(credentials, client_id="another"), 5)
    assert len(server.asked) == 3


async def test_only_the_token_that_was_refused_is_forgotten() -> None:
    async with fetching(Salesforce(), Clock()) as (tokens, credentials, server):
        first = await tokens.bearer(ONE, credentials, 5)
        assert isinstance(first, str)
        tokens.forget(ONE, first)
        second = await tokens.bearer(ONE, credentials, 5)
        tokens.forget(ONE, first)
        tokens.forget(OTHER, first)
        assert await tokens.bearer(ONE, credentials, 5) == second
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reply(302, Location="/elsewhere"), "no token: token_url answered 302"),
        (reply(503, **{"Retry-After": "60"}), "no token: token_url answered 503"),
        (reply(400, {"error": CLIENT_SECRET}), "no token: token_url answered 400"),
        (reply(400, {"error": "a b"}), "no token: token_url answered 400"),
        (reply(200, {"access_token": "a\r\nHost: b"}), "no usable access_token"),
        (reply(200, {"access_token": ""}), "no usable access_token"),
        (reply(200, {"access_token": "t", "expires_in": -1}), "no usable access_token"),
        (reply(200, {"access_token": "t" * 70_000}), "no usable access_token"),
        (reply(200), "no usable access_token"),
        (web.Response(body=b"\xff\xfe"), "no usable access_token"),
    ],
)
async def test_answers_without_a_token_are_reported_and_nothing_is_cached(answer: web.Response, error: str) -> None:
    async def give(_: Asked) -> web.Response:
        return web.Response(status=answer.status, body=answer.body, headers=answer.headers)

    async with fetching(give, Clock()) as (tokens, credentials, server):
        for _ in range(2):
            got = await tokens.bearer(ONE, credentials, 5)
            assert isinstance(got, Reply)
            assert got.failure == "token"
            assert error in (got.error or "")
            assert CLIENT_SECRET not in repr(got)
            assert got.retry_after == answer.headers.get("Retry-After")
        assert len(server.asked) == 2


async def test_a_long_token_is_not_cut() -> None:
    async def give(_: Asked) -> web.Response:
        return reply(200, {"access_token": "t" * 12_000})

    async with fetching(give, Clock()) as (tokens, credentials, _):
        assert await tokens.bearer(ONE, credentials, 5) == "t" * 12_000
