"""Text that Postgres can't store is a 422 wherever it comes in: every route's path, query and body is tried."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.api import Api
from tests.support.api_walk import OPEN, all_steps, filled, something_of_everything
from tests.support.cloud_events import cloud_event, usage

pytestmark = pytest.mark.anyio

NUL = "a\x00b"
ENCODED = "a%00b"
BATCH = {"Content-Type": "application/cloudevents-batch+json"}
HALF = rb'{"name": "\ud83d"}'


def operations(api: Api) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in api.app.openapi()["paths"].items():
        if path not in OPEN:
            yield from ((method.upper(), path, operation) for method, operation in methods.items())


def spoilt(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Copies of a document with one text spoilt, or with one name more; and the field that is at fault."""
    if isinstance(value, str):
        yield path, NUL
    elif isinstance(value, dict):
        yield path, {**value, NUL: 1}
        for name, inner in value.items():
            yield from ((at, {**value, name: bad}) for at, bad in spoilt(inner, f"{path}.{name}".lstrip(".")))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            for at, bad in spoilt(inner, f"{path}[{index}]"):
                copy = deepcopy(value)
                copy[index] = bad
                yield at, copy


async def test_no_body_holds_what_cannot_be_stored(api: Api, engine: AsyncEngine) -> None:
    there = await something_of_everything(api, engine)
    api.publisher.records.clear()
    tried = 0
    for method, path, operation in operations(api):
        for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
            examples = [each["value"] for each in content.get("examples", {}).values()]
            for example in [content["example"]] if "example" in content else examples:
                for at, body in spoilt(example):
                    answer = await api.call(method, filled(path, **there), body, headers={"Content-Type": media_type})
                    assert answer.status == 422, (method, path, at, answer.body)
                    assert answer.fields, (method, path, at)
                    tried += 1
    assert tried > 100
    assert not api.publisher.records


async def test_no_query_and_no_path_holds_it(api: Api, engine: AsyncEngine) -> None:
    there = await something_of_everything(api, engine)
    for method, path, operation in operations(api):
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "query":
                url = f"{filled(path, **there)}?{parameter['name']}={ENCODED}"
                answer = await api.call(method, url, None if method == "GET" else {})
                assert answer.status == 422, (method, url, answer.body)
            elif parameter["in"] == "path":
                url = filled(path, **{**there, parameter["name"]: ENCODED})
                answer = await api.call(method, url, {})
                assert answer.status in {404, 422}, (method, url, answer.body)
    for step in all_steps(api):
        answer = await api.call(step.method, f"{filled(step.path, **there)}?nobody-asked={ENCODED}")
        assert answer.status < 500, step


async def test_the_field_of_an_event_is_named(api: Api) -> None:
    survey = {"survey": "nps", "response_id": "r", "score": 9, "comment": NUL}
    for event, field in (
        (usage("acme", source=f"/{NUL}"), "source"),
        (usage("acme", id=NUL), "id"),
        (usage("acme", NUL), "data.feature"),
        (cloud_event("usage", "acme", {"feature": "x", "user_id": NUL}), "data.user_id"),
        (cloud_event("survey", "acme", survey), "data.comment"),
        (usage("acme", somebodys={"deep": [1, NUL]}), "somebodys.deep[1]"),
    ):
        answer = await api.post("/v1/events", [usage("acme"), event], headers=BATCH)
        assert (answer.status, answer.fields) == (422, [f"[1].{field}"])
        assert "holds U+0000, a control character, at position" in answer.json["errors"][0]["message"]
    fine = usage("acme", "\\u0000")  # a backslash and letters
    assert (await api.post("/v1/events", fine)).status == 202


async def test_half_a_surrogate_pair_is_refused(api: Api) -> None:
    json = {"Content-Type": "application/json"}
    assert (await api.call("PUT", "/v1/accounts/acme", raw=HALF, headers=json)).status == 422
    assert (await api.call("POST", "/v1/api-keys", raw=HALF, headers=json)).status == 422
    assert (await api.call("POST", "/v1/alert-rules", raw=HALF, headers=json)).status == 422
    event = cloud_event("usage", "acme", {"feature": "a\ud83d"})
    for sent in (api.put("/v1/accounts/acme", {"name": "a\ud83d"}), api.post("/v1/events", event)):
        error = (await sent).json["errors"][0]
        assert error["field"] in {"name", "data.feature"}
        assert error["message"] == "holds U+D83D, a lone surrogate, at position 2"
    assert (await api.get("/v1/accounts?owner=%ED%A0%80")).status in {200, 422}
