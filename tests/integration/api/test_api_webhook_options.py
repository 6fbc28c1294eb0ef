"""Options of webhook endpoints: those of the target, stored sealed and never shown."""

import json
from typing import Annotated, Any

import msgspec
import pytest
from msgspec import Meta, Struct
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from service import targets
from service.api.resources import webhook_endpoint_document
from service.storage.database.tables import webhook_endpoints
from service.targets.message import Body, Message
from service.targets.target import Target
from tests.support.api import Api
from tests.support.webhooks import add_alert, local_settings, receiver, until, working

pytestmark = pytest.mark.anyio

PATH = "/v1/webhook-endpoints"
URL = "https://crm.example.com/hooks/health"
OPTIONS = {"token": "hidden-token", "names": {"score": "Health"}, "limits": [1, 2]}


class PickyOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """One example of each kind of fault."""

    token: Annotated[str, Meta(min_length=1)]
    names: dict[str, str] = {}
    limits: list[int] = []


def build(_: Message, options: PickyOptions) -> Body:
    return Body(msgspec.json.encode(options))


@pytest.fixture(autouse=True)
def _picky(monkeypatch: pytest.MonkeyPatch) -> None:
    """A target that takes options, beside those that ship."""
    more = {**targets.TARGETS, "picky": Target(build, PickyOptions)}
    for module in (targets, webhook_endpoint_document):
        monkeypatch.setattr(module, "TARGETS", more)


async def create(api: Api, **body: Any) -> dict[str, Any]:
    answer = await api.post(PATH, {"url": URL, **body})
    assert answer.status == 201, answer.body
    created: dict[str, Any] = answer.json
    return created


async def stored(engine: AsyncEngine, api: Api) -> Any:
    """The options of the only endpoint, opened."""
    async with engine.connect() as connection:
        sealed = (await connection.execute(select(webhook_endpoints.c.options))).scalar_one()
    return None if sealed is None else json.loads(api.app.state.context.vault.open(sealed))


async def test_options_are_kept_sealed_and_never_shown(engine: AsyncEngine, api: Api) -> None:
    answer = await api.post(PATH, {"url": URL, "target": "picky", "options": OPTIONS})
    assert (answer.status, answer.json["has_options"]) == (201, True)
    path = f"{PATH}/{answer.json['id']}"
    async with engine.connect() as connection:
        row = repr((await connection.execute(select(webhook_endpoints))).one())
    for shown in (answer.body, (await api.get(path)).body, (await api.get(PATH)).body, row.encode()):
        assert b"hidden-token" not in shown
    assert await stored(engine, api) == OPTIONS
    assert (await api.put(path, {"url": URL})).json["has_options"] is False
    assert await stored(engine, api) is None


@pytest.mark.parametrize("given", [{}, {"options": None}, {"options": {}}])
async def test_a_target_that_takes_none_needs_none(engine: AsyncEngine, api: Api, given: dict[str, Any]) -> None:
    assert (await create(api, **given))["has_options"] is False
    assert await stored(engine, api) is None


@pytest.mark.parametrize(
    ("target", "options", "field", "allowed"),
    [
        ("standard", {"token": "x"}, "options.token", "is unknown: standard takes no options"),
        ("slack", {"channel": "#cs"}, "options.channel", "is unknown: slack takes no options"),
        ("picky", None, "options.token", "is required: picky takes token, names, limits"),
        ("picky", {"token": "x", "tokn": "y"}, "options.tokn", "is unknown: picky takes token, names, limits"),
        ("picky", {"token": 7}, "options.token", "expected `str`, got `int`"),
        ("picky", {"token": ""}, "options.token", "expected `str` of length >= 1"),
        ("picky", {"token": "x", "limits": [1, "2"]}, "options.limits[1]", "expected `int`, got `str`"),
        ("picky", {"token": "x", "names": {"score": 1}}, "options.names[...]", "expected `str`, got `int`"),
        ("picky", {"token": 10**40}, "options.token", "expected `str`"),
        ("picky", {"token": "x" * 20_000}, "options", "must not exceed 16,384 bytes"),
        ("picky", ["token"], "options", "should be an object"),
    ],
)
async def test_options_that_a_target_can_t_use_are_refused_by_field(
    api: Api, target: str, options: Any, field: str, allowed: str
) -> None:
    answer = await api.post(PATH, {"url": URL, "target": target, "options": options})
    assert (answer.status, answer.fields) == (422, [field])
    assert allowed in answer.json["errors"][0]["message"]
    created = await create(api)
    put = await api.put(f"{PATH}/{created['id']}", {"url": URL, "target": target, "options": options})
    assert (put.status, put.fields) == (422, [field])
    patched = await api.patch(f"{PATH}/{created['id']}", {"target": target, "options": options})
    assert (patched.status, patched.fields) == (422, [field])


async def test_a_patch_is_held_against_the_target_that_results(engine: AsyncEngine, api: Api) -> None:
    created = await create(api, target="picky", options=OPTIONS)
    path = f"{PATH}/{created['id']}"
    assert (await api.patch(path, {"enabled": False})).json["has_options"] is True
    assert (await api.patch(path, {"target": "picky"})).json["has_options"] is True
    assert await stored(engine, api) == OPTIONS
    assert (await api.patch(path, {"target": "slack"})).fields == ["options.token"]
    assert (await api.patch(path, {"options": None})).fields == ["options.token"]
    assert (await api.patch(path, {"options": {"names": {}}})).fields == ["options.token"]
    assert await stored(engine, api) == OPTIONS
    changed = (await api.patch(path, {"options": {"token": "another"}})).json
    assert (changed["target"], changed["has_options"]) == ("picky", True)
    assert await stored(engine, api) == {"token": "another"}
    changed = (await api.patch(path, {"target": "slack", "options": None})).json
    assert (changed["target"], changed["has_options"]) == ("slack", False)
    assert (await api.patch(path, {"target": "picky"})).fields == ["options.token"]
    assert (await api.patch(f"{PATH}/{'0' * 32}", {"target": "slack"})).status == 404


async def test_the_target_is_given_what_was_written(engine: AsyncEngine, api: Api) -> None:
    vault_key = api.app.state.context.settings.encryption_key
    async with receiver() as stand_in:
        created = await create(api, target="picky", options=OPTIONS)
        async with engine.begin() as connection:
            # The API of this test lets no URL of this machine in.
            await connection.execute(webhook_endpoints.update().values(url=stand_in.url))
        await add_alert(engine, "acme")
        async with working(engine, local_settings(encryption_key=vault_key)):
            await until(lambda: stand_in.bodies)
    assert json.loads(stand_in.bodies[0]) == OPTIONS
    assert stand_in.messages(created["secret"])
