"""/v1/alert-rules: made, read, changed, deleted; every change has accounts judged anew."""

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.test_api_scorecards import due
from tests.support.api import Api

pytestmark = pytest.mark.anyio

SCORE = {"name": "At risk", "kind": "score", "direction": "below", "level": 40, "clear_level": 45}
BAND = {"name": "Red", "kind": "band", "to": ["red"], "segments": ["enterprise"], "for_seconds": 60}


async def test_both_kinds_come_back_as_they_were_given(api: Api) -> None:
    for body in (SCORE, BAND):
        created = await api.post("/v1/alert-rules", body)
        assert created.status == 201
        rule = created.json
        assert {name: rule[name] for name in body} == body
        assert rule["enabled"] is True
        assert (await api.get(f"/v1/alert-rules/{rule['id']}")).json == rule
    assert [rule["name"] for rule in (await api.get("/v1/alert-rules")).items] == ["At risk", "Red"]


async def test_put_replaces_and_patch_changes(api: Api) -> None:
    path = "/v1/alert-rules/" + (await api.post("/v1/alert-rules", SCORE | {"cooldown_seconds": 60})).json["id"]
    patched = (await api.patch(path, {"level": 30, "clear_level": None, "enabled": False})).json
    assert (patched["level"], patched["cooldown_seconds"], patched["enabled"]) == (30, 60, False)
    assert "clear_level" not in patched
    replaced = (await api.put(path, BAND)).json
    assert "level" not in replaced
    assert (replaced["kind"], replaced["enabled"]) == ("band", True)
    assert replaced["created_at"] == patched["created_at"]
    assert (await api.patch(path, {"to": []})).fields == ["to"]
    assert (await api.get(path)).json == replaced


async def test_names_are_unique(api: Api) -> None:
    await api.post("/v1/alert-rules", SCORE)
    other = (await api.post("/v1/alert-rules", BAND)).json["id"]
    for answer in (
        await api.post("/v1/alert-rules", SCORE),
        await api.put(f"/v1/alert-rules/{other}", SCORE),
        await api.patch(f"/v1/alert-rules/{other}", {"name": "At risk"}),
    ):
        assert answer.status == 409
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert "At risk" in answer.json["detail"]
    assert (await api.put(f"/v1/alert-rules/{other}", BAND)).status == 200


async def test_deleting(api: Api) -> None:
    path = "/v1/alert-rules/" + (await api.post("/v1/alert-rules", SCORE)).json["id"]
    assert (await api.delete(path)).status == 204
    assert (await api.delete(path)).status == (await api.get(path)).status == 404


async def test_every_change_makes_accounts_due(engine: AsyncEngine, api: Api) -> None:
    async def is_due_after(answer: Any) -> bool:
        assert answer.status < 300
        was = await due(engine)
        await api.put("/v1/accounts/acme", {})
        return was == 1

    await api.put("/v1/accounts/acme", {})
    created = await api.post("/v1/alert-rules", SCORE)
    path = f"/v1/alert-rules/{created.json['id']}"
    assert await is_due_after(created)
    assert await is_due_after(await api.put(path, SCORE | {"level": 30}))
    assert await is_due_after(await api.patch(path, {"enabled": False}))
    assert await is_due_after(await api.patch(path, {"enabled": True}))


async def test_a_rule_that_can_t_be_is_refused_by_field(api: Api) -> None:
    for body, field in (
        ({}, "name"),
        ({"name": "r"}, "kind"),
        (SCORE | {"name": ""}, "name"),
        (SCORE | {"name": "a\x00"}, "name"),
        (SCORE | {"kind": "drop"}, "kind"),
        (SCORE | {"kind": "silence"}, "kind"),
        (SCORE | {"kind": "tilt"}, "kind"),
        (SCORE | {"kind": 7}, "kind"),
        (SCORE | {"enabled": "yes"}, "enabled"),
        (SCORE | {"level": 101}, "level"),
        (SCORE | {"level": "40"}, "level"),
        (SCORE | {"direction": "sideways"}, "direction"),
        (SCORE | {"clear_level": 39}, "clear_level"),
        (SCORE | {"for_seconds": -1}, "for_seconds"),
        (SCORE | {"segments": [""]}, "segments[0]"),
        (SCORE | {"to": ["red"]}, "to"),
        ({"name": "r", "kind": "score", "level": 40}, "direction"),
        (BAND | {"to": ["unknown"]}, "to[0]"),
    ):
        answer = await api.post("/v1/alert-rules", body)
        assert (answer.status, answer.fields) == (422, [field]), body
    for kind in ("drop", "silence"):
        answer = await api.post("/v1/alert-rules", SCORE | {"kind": kind})
        assert "send one of score, band" in answer.json["errors"][0]["message"]
