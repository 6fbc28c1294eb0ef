"""/v1/alert-rules: create, read, change and delete; every change re-evaluates the accounts."""

from typing import Any
from uuid import UUID

import pytest

from tests.support.api import Api

pytestmark = pytest.mark.anyio

SCORE = {"name": "At risk", "kind": "score", "direction": "below", "level": 40, "clear_level": 45}
DROP = {"name": "Fell", "kind": "drop", "points": 20, "days": 7, "owners": ["ann@example.com"]}
BAND = {"name": "Red", "kind": "band", "to": ["red"], "segments": ["enterprise"], "for_seconds": 60}
SILENCE = {"name": "Silent", "kind": "silence", "level": 3, "stages": ["live"], "cooldown_seconds": 86_400}


def without_reevaluation(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule as it is read later on."""
    return {name: value for name, value in rule.items() if name != "reevaluation"}


async def test_all_kinds_come_back_as_they_were_given(api: Api) -> None:
    for body in (SCORE, DROP, BAND, SILENCE):
        created = await api.post("/v1/alert-rules", body)
        assert created.status == 201
        rule = created.json
        assert {name: rule[name] for name in body} == body
        assert rule["enabled"] is True
        assert (await api.get(f"/v1/alert-rules/{rule['id']}")).json == without_reevaluation(rule)
    listed = (await api.get("/v1/alert-rules")).items
    assert [rule["name"] for rule in listed] == ["At risk", "Fell", "Red", "Silent"]


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
    assert (await api.get(path)).json == without_reevaluation(replaced)


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


async def test_every_change_re_evaluates_the_accounts(api: Api) -> None:
    await api.put("/v1/accounts/acme", {})
    created = await api.post("/v1/alert-rules", SCORE)
    path = f"/v1/alert-rules/{created.json['id']}"
    changes = [
        created,
        await api.put(path, SCORE | {"level": 30}),
        await api.patch(path, {"enabled": False}),
        await api.patch(path, {"enabled": True}),
    ]
    assert (await api.delete(path)).status == 204
    deletion, *begun = (await api.get("/v1/reevaluations")).items
    assert [each["id"] for each in reversed(begun)] == [change.json["reevaluation"] for change in changes]
    assert (deletion["cause"], deletion["subject"], deletion["total"]) == ("rule", "At risk", 1)
    assert [each["finished_at"] is None for each in (deletion, *begun)] == [True, *[False] * 4]


async def test_what_can_t_be_changes_nothing(api: Api) -> None:
    assert (await api.post("/v1/alert-rules", SCORE | {"level": 101})).status == 422
    assert (await api.delete(f"/v1/alert-rules/{UUID(int=0)}")).status == 404
    assert (await api.get("/v1/reevaluations")).items == []


async def test_a_rule_that_can_t_be_is_refused_by_field(api: Api) -> None:
    for body, field in (
        ({}, "name"),
        ({"name": "r"}, "kind"),
        (SCORE | {"name": ""}, "name"),
        (SCORE | {"name": "a\x00"}, "name"),
        (SCORE | {"kind": "drop"}, "direction"),
        ({"name": "r", "kind": "drop", "days": 7}, "points"),
        ({"name": "r", "kind": "drop", "points": 20}, "days"),
        (DROP | {"points": 0}, "points"),
        (DROP | {"points": 101}, "points"),
        (DROP | {"days": 0}, "days"),
        (DROP | {"days": 93}, "days"),
        (DROP | {"days": 1.5}, "days"),
        (DROP | {"level": 40}, "level"),
        ({"name": "r", "kind": "silence"}, "level"),
        (SILENCE | {"level": 0}, "level"),
        (SILENCE | {"level": 1001}, "level"),
        (SILENCE | {"clear_level": 2}, "clear_level"),
        (SCORE | {"kind": "tilt"}, "kind"),
        (SCORE | {"kind": 7}, "kind"),
        (SCORE | {"enabled": "yes"}, "enabled"),
        (SCORE | {"level": 101}, "level"),
        (SCORE | {"level": "40"}, "level"),
        (SCORE | {"direction": "sideways"}, "direction"),
        (SCORE | {"clear_level": 39}, "clear_level"),
        (SCORE | {"direction": "above", "clear_level": 41}, "clear_level"),
        (SCORE | {"for_seconds": -1}, "for_seconds"),
        (SCORE | {"segments": [""]}, "segments[0]"),
        (SCORE | {"to": ["red"]}, "to"),
        ({"name": "r", "kind": "score", "level": 40}, "direction"),
        (BAND | {"to": ["unknown"]}, "to[0]"),
    ):
        answer = await api.post("/v1/alert-rules", body)
        assert (answer.status, answer.fields) == (422, [field]), body
    answer = await api.post("/v1/alert-rules", SCORE | {"kind": "tilt"})
    assert "send one of score, drop, band, silence" in answer.json["errors"][0]["message"]


async def test_a_patch_of_what_no_rule_has_is_refused_even_if_it_is_null(api: Api) -> None:
    created = (await api.post("/v1/alert-rules", SCORE)).json
    for unknown in ("", "lvel", "reevaluation"):
        answer = await api.patch(f"/v1/alert-rules/{created['id']}", {unknown: None})
        assert (answer.status, answer.fields) == (422, [unknown]), unknown


async def test_text_that_no_database_takes_is_refused(api: Api) -> None:
    created = (await api.post("/v1/alert-rules", SCORE)).json
    for field in ("segments", "stages", "owners"):
        for call, path in ((api.patch, f"/v1/alert-rules/{created['id']}"), (api.post, "/v1/alert-rules")):
            answer = await call(path, {**SCORE, field: ["a", "b\x00c"]})
            assert (answer.status, answer.fields) == (422, [f"{field}[1]"])


async def test_a_patch_can_make_another_kind_of_it(api: Api) -> None:
    path = "/v1/alert-rules/" + (await api.post("/v1/alert-rules", SILENCE)).json["id"]
    assert (await api.patch(path, {"kind": "drop"})).fields == ["level"]
    changed = await api.patch(path, {"kind": "drop", "level": None, "points": 20, "days": 7})
    assert (changed.status, changed.json["kind"], changed.json["points"]) == (200, "drop", 20)


async def test_the_documentation_has_every_kind(api: Api) -> None:
    document = (await api.get("/openapi.json", key=None)).json
    body = document["paths"]["/v1/alert-rules"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    described = [document["components"]["schemas"][each["$ref"].rpartition("/")[2]] for each in body["oneOf"]]
    kinds = {kind: each for each in described for kind in each["properties"]["kind"]["enum"]}
    assert kinds.keys() == {"score", "drop", "band", "silence"}
    for rule in (SCORE, DROP, BAND, SILENCE):
        schema = kinds[str(rule["kind"])]
        assert schema["properties"].keys() >= rule.keys()
        assert set(schema["required"]) >= rule.keys() & {"name", "direction", "level", "points", "days", "to"}
