"""The examples of README.md and deploy/webhooks*.md, over an existing portfolio, message by message."""

import json
import re
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncEngine

from service.runtime.settings import Settings
from service.storage.webhooks import endpoints
from tests.support.api import Api
from tests.support.crm import crm, hubspot_done
from tests.support.paths import ROOT
from tests.support.service import eventually, query
from tests.support.sweeping import START, Clock, by_active_days, used
from tests.support.webhooks import Receiver, local_settings, receiver, states, until, working

pytestmark = pytest.mark.anyio

MINUTE = timedelta(minutes=1)
FORTY_EIGHT = [f"account-{number:02}" for number in range(48)]
KEY = "a key that is only for tests"
BODY = re.compile(r"-d '(\{.*?\})'", re.DOTALL)


def example(document: str, **having: Any) -> dict[str, Any]:
    """The body of a request in a document, found by its contents; its placeholders are filled in."""
    written = (ROOT / document).read_text().replace("…", "1234")
    bodies = [json.loads(found) for found in BODY.findall(written)]
    (found,) = [body for body in bodies if having.items() <= body.items()]
    return dict(found)


async def took(_: web.Request) -> web.StreamResponse:
    """The answer of every receiver that accepted a message, Slack included."""
    return web.Response(text="ok")


@pytest.fixture
async def clock(engine: AsyncEngine, database_settings: Settings) -> Clock:
    """48 accounts that score 5, and one that scores 100."""
    clock = Clock(engine, database_settings)
    await clock.publish(by_active_days(20), START)
    await clock.reevaluate(START)
    use = {each: [used(each, START)] for each in FORTY_EIGHT}
    await clock.fold(use | {"well": [used("well", START - timedelta(days=day)) for day in range(20)]}, START)
    return clock


async def recover(clock: Clock, account_id: str, at: int) -> None:
    use = [used(account_id, START - timedelta(days=day)) for day in range(1, 16)]
    await clock.fold({account_id: use}, START + MINUTE * at)


async def subscribe(engine: AsyncEngine, api: Api, body: dict[str, Any], url: str) -> None:
    """Create an endpoint as the document says, and let it lead to this machine."""
    created = await api.post("/v1/webhook-endpoints", body)
    assert created.status == 201, created.body
    async with engine.begin() as connection:
        assert await endpoints.change(connection, UUID(created.json["id"]), {"url": url}, START)


def standard(body: Any) -> str:
    return _said(body["data"], body["type"])


def _said(data: dict[str, Any], type_: str) -> str:
    if data.get("digest"):
        (rule,) = data["digest"]["rules"]
        return f"{type_}: {rule['rule']} +{rule['firing']} -{rule['resolved']}"
    return f"{type_}: {data['account_id']} {data['score']:g} {data['band']}"


def slack(body: Any) -> str:
    return str(body["blocks"][0]["text"]["text"])


def teams(body: Any) -> str:
    return str(body["attachments"][0]["content"]["body"][0]["inlines"][0]["text"])


def alertmanager(body: Any) -> str:
    (alert,) = body["alerts"]
    labels = alert["labels"]
    return f"{alert['status']} {labels['alertname']} {labels.get('account_id')} {labels.get('band')}"


PEOPLE = [
    ["Rule “At risk” was created: 48 alerts began"],
    ["account-00: “At risk” is over: score 80 (green), was 5 (red)"],
    ["newcomer set off “At risk”: score 5 (red), had no score before"],
    [],
    ["newcomer: “In danger” is over: score 80 (green), was 5 (red)"],
    ["second set off “In danger”: score 5 (red), had no score before"],
    ["Rule “In danger” was deleted: 48 alerts ended"],
]
PROGRAMS = [
    ["health.digest: At risk +48 -0"],
    ["health.threshold.resolved: account-00 80 green"],
    ["health.threshold.crossed: newcomer 5 red"],
    [],
    ["health.threshold.resolved: newcomer 80 green"],
    ["health.threshold.crossed: second 5 red"],
    ["health.digest: In danger +0 -47", "health.threshold.resolved: second 5 red"],
]
ONCALL = [
    ["firing digest of a rule None None"],
    ["resolved At risk account-00 red"],
    ["firing At risk newcomer red"],
    [],
    ["resolved At risk newcomer red"],
    ["firing In danger second red"],
    ["firing digest of a rule None None", "resolved In danger second red"],
]

EXAMPLES: list[tuple[str, dict[str, Any], Callable[[Any], str], list[list[str]]]] = [
    ("README.md", {"url": "https://crm.example.com/hooks/health"}, standard, PROGRAMS),
    ("deploy/webhooks.md", {"target": "cloudevents"}, standard, PROGRAMS),
    ("deploy/webhooks.md", {"target": "slack"}, slack, PEOPLE),
    ("deploy/webhooks.md", {"target": "teams"}, teams, PEOPLE),
    ("deploy/webhooks.md", {"target": "alertmanager"}, alertmanager, ONCALL),
]


async def test_a_new_rule_over_48_accounts_and_what_comes_after_it(clock: Clock, engine: AsyncEngine, api: Api) -> None:
    async with AsyncExitStack() as stack:
        heard = [await stack.enter_async_context(receiver(took)) for _ in EXAMPLES]
        for (document, having, _, _), each in zip(EXAMPLES, heard, strict=True):
            await subscribe(engine, api, example(document, **having), each.url)
        assert sum("bands" in example(document, **having) for document, having, _, _ in EXAMPLES) == 2
        await stack.enter_async_context(working(engine, local_settings(encryption_key=KEY)))

        rule = (await api.post("/v1/alert-rules", example("README.md", name="At risk"))).json["id"]
        await clock.reevaluate(START)
        await hears(engine, heard, 0)
        await recover(clock, "account-00", 1)
        await hears(engine, heard, 1)
        await clock.fold({"newcomer": [used("newcomer", START)]}, START + MINUTE * 2)
        await hears(engine, heard, 2)
        await api.patch(f"/v1/alert-rules/{rule}", {"name": "In danger"})
        await clock.reevaluate(START + MINUTE * 3)
        await hears(engine, heard, 3)
        await recover(clock, "newcomer", 4)
        await hears(engine, heard, 4)
        await clock.fold({"second": [used("second", START)]}, START + MINUTE * 5)
        await hears(engine, heard, 5)
        await api.delete(f"/v1/alert-rules/{rule}")
        await clock.reevaluate(START + MINUTE * 6)
        await hears(engine, heard, 6)


async def hears(engine: AsyncEngine, heard: list[Receiver], step: int) -> None:
    """All messages are sent, and each receiver has got its own and no others."""
    expected = sum(len(steps[each]) for _, _, _, steps in EXAMPLES for each in range(step + 1))
    assert len(await query(engine, "SELECT 1 FROM deliveries")) == expected, step
    await until(lambda: sum(len(each.bodies) for each in heard) == expected, 30)
    for (_, _, read, steps), each in zip(EXAMPLES, heard, strict=True):
        before = sum(len(steps[earlier]) for earlier in range(step))
        assert sorted(read(json.loads(body)) for body in each.bodies[before:]) == sorted(steps[step])


async def succeeded(engine: AsyncEngine, deliveries: int) -> bool:
    return (await states(engine)).count("succeeded") == deliveries


async def test_a_crm_is_sent_every_account_and_its_recovery(clock: Clock, engine: AsyncEngine, api: Api) -> None:
    """Tested with the two rules that the manual creates in a loop, for a CRM that asked for bad scores alone."""
    async with crm(hubspot_done) as hubspot:
        body = example("deploy/webhooks-crm.md", target="hubspot")
        await subscribe(engine, api, {**body, "bands": ["red"]}, hubspot.url)
        for band in ("red", "green"):
            await api.post("/v1/alert-rules", {"name": f"Band {band}", "kind": "band", "to": [band]})
        await clock.reevaluate(START)
        async with working(engine, local_settings(encryption_key=KEY)):
            await eventually(partial(succeeded, engine, 48), "all accounts written")
            # An account is written once a minute: it was written longer ago than that.
            await query(engine, "UPDATE deliveries SET finished_at = now() - interval '5 minutes' RETURNING 1")
            await recover(clock, "account-00", 1)
            await eventually(partial(succeeded, engine, 49), "the account that has recovered written")
    written = [asked.json["inputs"][0] for asked in hubspot.asked]
    assert sorted(each["id"] for each in written[:48]) == FORTY_EIGHT
    properties = written[48]["properties"]
    assert (written[48]["id"], properties["account_health_score"]) == ("account-00", "80")
    assert properties["account_health_band"] == "green"
