"""The edges of every parameter and body of every route, walked by the OpenAPI document: a refusal or an answer, never
a 500. A route that is added is walked too.
"""

from collections.abc import AsyncIterator, Awaitable, Iterable
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.support.api import Answer, Api, make_key, running
from tests.support.api_edges import INSTANTS, parameter_values, with_edges
from tests.support.api_walk import filled, something_of_everything
from tests.support.service import settings_for

pytestmark = pytest.mark.anyio


@pytest.fixture
async def api(database_url: str, engine: AsyncEngine) -> AsyncIterator[Api]:
    """The API, to be asked often."""
    limits = {"http_rate_limit": 0, "encryption_key": "a key that is only for tests"}
    settings = settings_for(database_url, "127.0.0.1:1", "", **limits)
    async with running(settings, await make_key(engine, "admin")) as api:
        yield api


def operations(api: Api) -> Iterable[tuple[str, str, dict[str, Any]]]:
    for path, methods in api.app.openapi()["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def example_of(operation: dict[str, Any]) -> Any:
    content = operation.get("requestBody", {}).get("content", {})
    return content.get("application/json", {}).get("example")


async def none_breaks(asked: Iterable[tuple[object, Awaitable[Answer]]]) -> int:
    """Send one request after the other; all failures are reported at once."""
    broken, count = [], 0
    for at, asking in asked:
        answer = await asking
        count += 1
        if answer.status >= 500 or b"Traceback" in answer.body:
            broken.append((at, answer.status))
        if answer.status == 422:
            assert answer.json["errors"], at
    assert not broken, broken[:20]
    return count


async def test_every_edge_of_every_parameter(engine: AsyncEngine, api: Api) -> None:
    known = await something_of_everything(api, engine)

    def asked() -> Iterable[tuple[object, Awaitable[Answer]]]:
        for method, path, operation in operations(api):
            if method == "DELETE":
                continue  # the things of the others
            for parameter in operation.get("parameters", []):
                name = parameter["name"]
                for value in parameter_values(parameter):
                    written = quote(value, safe="")
                    if parameter["in"] == "path":
                        target = filled(path, **{**known, name: written or "%20"})
                    else:
                        target = f"{filled(path, **known)}?{name}={written}"
                        if name == "page_token" and "/accounts" in path:
                            target += "&sort=-evaluated_at"
                    yield (method, path, name, value[:60]), api.call(method, target, example_of(operation))

    assert await none_breaks(asked()) > 2_000


async def test_every_edge_of_every_body(engine: AsyncEngine, api: Api) -> None:
    known = await something_of_everything(api, engine)

    def asked() -> Iterable[tuple[object, Awaitable[Answer]]]:
        for method, path, operation in operations(api):
            for body in with_edges(example_of(operation)) if "requestBody" in operation else ():
                yield (method, path, str(body)[:200]), api.call(method, filled(path, **known), body)

    assert await none_breaks(asked()) > 2_000


async def test_a_plus_that_became_a_space_is_hinted_at(api: Api) -> None:
    raw = "2026-01-31T09:00:00+01:00"
    for path in ("/v1/accounts?changed_since=", "/v1/dead-letters?since="):
        refused = await api.get(path + raw)
        assert (refused.status, refused.json["errors"][0]["message"]) == (
            422,
            "has a space where its offset begins: write + as %2B in a query",
        )
        assert (await api.get(path + raw.replace("+", "%2B"))).status == 200


async def test_the_first_days_of_the_calendar_are_an_answer(engine: AsyncEngine, api: Api) -> None:
    await something_of_everything(api, engine)
    health = "/v1/accounts/acme/health"
    assert (await api.get(f"{health}/history?to=0001-01-01")).status == 200
    assert (await api.get(f"{health}/explain?to=0001-01-01")).status == 404
    assert (await api.get(f"{health}?day=0001-01-01")).status == 404
    for moment in INSTANTS[:3]:
        answer = await api.get(f"/v1/accounts?changed_since={quote(moment)}")
        assert answer.status == (422 if "+" in moment else 200), moment
