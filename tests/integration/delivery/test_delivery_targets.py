"""Each target against a stand-in that answers as the real receiver does."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web
from cloudevents.core.bindings.http import HTTPMessage, from_http_event
from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncEngine

from service.delivery.retry import GaveUp, RetryAt, Succeeded
from service.delivery.worker import _measure
from service.storage.webhooks import delivery_log
from service.storage.webhooks.delivery_log import LoggedAttempt
from tests.support.messages import ACCOUNT
from tests.support.receiver_schemas import check_alertmanager, check_slack, check_teams
from tests.support.webhooks import QUICK, Answer, add_alert, add_endpoint, local_settings, receiver, until, working

pytestmark = pytest.mark.anyio


async def slack(request: web.Request) -> web.StreamResponse:
    """Slack: plain text, `ok` or the fault of the message."""
    try:
        check_slack(await request.json())
    except (AssertionError, ValueError, KeyError):
        return web.Response(status=400, text="invalid_payload")
    return web.Response(text="ok")


async def teams(request: web.Request) -> web.StreamResponse:
    """Workflows: accepts readable messages, and answers nothing."""
    try:
        check_teams(await request.read(), await request.json())
    except (AssertionError, ValueError, KeyError):
        return web.Response(status=400)
    return web.Response(status=202)


async def alertmanagers_receiver(request: web.Request) -> web.StreamResponse:
    """Whatever takes Alertmanager's webhooks."""
    try:
        check_alertmanager(await request.json())
    except (AssertionError, ValueError, KeyError):
        return web.Response(status=422)
    return web.Response()


async def event_router(request: web.Request) -> web.StreamResponse:
    """A receiver of events over HTTP, as the CloudEvents SDK reads them."""
    event = from_http_event(HTTPMessage(dict(request.headers), await request.read()))
    return web.Response(status=202 if event.get_subject() == "acme" else 400)


async def alert(engine: AsyncEngine) -> UUID:
    return await add_alert(engine, "acme", 7, data=ACCOUNT, created_at=datetime(2026, 3, 1, 12, tzinfo=UTC))


async def attempts(engine: AsyncEngine, endpoint: UUID) -> list[LoggedAttempt]:
    """Attempts of the endpoint's only delivery, first one first."""
    async with engine.connect() as conn:
        [delivery] = await delivery_log.page(conn, endpoint, before=None, limit=10)
        return list(await delivery_log.attempts(conn, delivery.id, limit=10))[::-1]


@pytest.mark.parametrize(
    ("target", "answer", "status", "content_type"),
    [
        ("slack", slack, 200, "application/json"),
        ("teams", teams, 202, "application/json"),
        ("alertmanager", alertmanagers_receiver, 200, "application/json"),
        ("cloudevents", event_router, 202, "application/cloudevents+json"),
    ],
)
async def test_the_receiver_takes_it(
    engine: AsyncEngine, target: str, answer: Answer, status: int, content_type: str
) -> None:
    async with receiver(answer) as stand_in:
        endpoint = await add_endpoint(engine, stand_in.url, target=target)
        await alert(engine)
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: outcomes)
        assert isinstance(outcomes[0].outcome, Succeeded)
        assert stand_in.headers[0]["content-type"] == content_type
        assert stand_in.messages()  # signed, whatever the form
    [made] = await attempts(engine, endpoint)
    assert (made.status, made.error) == (status, None)


@pytest.mark.parametrize("template", ["", "https://crm.example/accounts/{account_id}"])
async def test_links_lead_where_the_operator_says_and_else_people_get_none(engine: AsyncEngine, template: str) -> None:
    async with receiver(slack) as chat, receiver() as program:
        await add_endpoint(engine, chat.url, target="slack")
        await add_endpoint(engine, program.url)
        await alert(engine)
        async with working(engine, local_settings(account_url=template)) as outcomes:
            await until(lambda: len(outcomes) == 2)
        [shown], [told] = chat.messages(), program.messages()
        assert ("<https://crm.example/accounts/acme|Open the account>" in json.dumps(shown)) is bool(template)
        assert "/v1/" not in json.dumps(shown)
        assert told["data"]["url"] == (template.replace("{account_id}", "acme") or ACCOUNT["url"])
        assert told["data"]["playbook_url"] == ACCOUNT["playbook_url"]


def one_after_the_other(*answers: tuple[int, str]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    left = list(answers)

    async def answer(_: web.Request) -> web.StreamResponse:
        status, text = left.pop(0) if len(left) > 1 else left[0]
        return web.Response(status=status, text=text)

    return answer


def counted(outcome: str) -> float:
    labels = {"target": "slack", "outcome": outcome}
    return REGISTRY.get_sample_value("health_delivery_attempts_total", labels) or 0.0


async def test_a_2xx_that_refuses_is_tried_again(engine: AsyncEngine) -> None:
    answers = one_after_the_other((200, "no_service\0"), (500, "rollup_error"), (200, "ok"))
    before = counted("refused"), counted("succeeded")
    async with receiver(answers) as stand_in:
        endpoint = await add_endpoint(engine, stand_in.url, target="slack")
        await alert(engine)
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: len(outcomes) == 3)
    for each in outcomes:
        _measure(each)
    assert [type(each.outcome) for each in outcomes] == [RetryAt, RetryAt, Succeeded]
    assert [each.failure for each in outcomes] == ["refused", None, None]
    assert (counted("refused"), counted("succeeded")) == (before[0] + 2, before[1] + 1)
    first, second, third = await attempts(engine, endpoint)
    assert (first.status, first.response) == (200, "no_service\ufffd")
    assert first.error == "Slack did not accept the message, and answered: no_service\ufffd"
    assert (second.status, second.error, third.status, third.error) == (500, None, 200, None)


async def test_a_2xx_that_refuses_for_ever_is_given_up(engine: AsyncEngine) -> None:
    async with receiver(one_after_the_other((200, "no_service"))) as stand_in:
        await add_endpoint(engine, stand_in.url, target="slack")
        await alert(engine)
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: outcomes and isinstance(outcomes[-1].outcome, GaveUp))
    assert len(outcomes) == len(QUICK.delays) + 1
    assert outcomes[-1].outcome == GaveUp("exhausted")


async def test_other_targets_take_any_2xx_for_a_yes(engine: AsyncEngine) -> None:
    async with receiver(one_after_the_other((200, "no_service"))) as stand_in:
        await add_endpoint(engine, stand_in.url)
        await alert(engine)
        async with working(engine, local_settings()) as outcomes:
            await until(lambda: outcomes)
        body: Any = json.loads(stand_in.bodies[0])
    assert isinstance(outcomes[0].outcome, Succeeded)
    assert body["data"] == ACCOUNT
