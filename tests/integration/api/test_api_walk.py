"""Every route is requested without a key, with invalid keys, by methods that it doesn't take, and in odd spellings. A
route that is added is requested too.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from service.runtime.api_key import SCOPES, new_key
from tests.support.api import Answer, Api, make_key, running
from tests.support.api_walk import OPEN, all_steps, filled, gets, scopes_of, something_of_everything
from tests.support.service import settings_for

pytestmark = pytest.mark.anyio

PROBLEM = "application/problem+json"


@pytest.fixture
async def api(database_url: str, engine: AsyncEngine) -> AsyncIterator[Api]:
    """The API, patient with wrong keys."""
    limits = {"http_wrong_keys": 0, "encryption_key": "a key that is only for tests"}
    settings = settings_for(database_url, "127.0.0.1:1", "", **limits)
    async with running(settings, await make_key(engine, "admin")) as api:
        yield api


def assert_problem(answer: Answer, at: object, *statuses: int) -> None:
    assert answer.status in statuses, (at, answer.status, answer.body[:300])
    assert answer.headers["Content-Type"] == PROBLEM, at
    assert answer.headers["X-Request-Id"], at
    assert answer.json["status"] == answer.status, at
    assert answer.json["detail"], at


async def test_no_route_is_open_but_those_of_the_list(api: Api) -> None:
    steps = all_steps(api)
    assert len(steps) > 55
    assert {step.path for step in steps} >= OPEN
    for step in steps:
        answer = await api.call(step.method, filled(step.path), key=None, raw=b"not even JSON")
        if step.path in OPEN:
            assert answer.status == 200, step
        elif step.method != "HEAD":
            assert_problem(answer, step, 401)
            assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_key_that_is_none_opens_no_route(engine: AsyncEngine, api: Api) -> None:
    expired = await make_key(engine, "admin", expires_at=api.clock.now)
    revoked = (await api.post("/v1/api-keys", {"name": "gone", "scopes": ["admin"]})).json
    assert (await api.get("/v1/alerts", key=revoked["key"])).status == 200
    assert (await api.delete(f"/v1/api-keys/{revoked['id']}")).status == 204
    wrong = {
        "expired": f"Bearer {expired}",
        "revoked": f"Bearer {revoked['key']}",
        "unknown": f"Bearer {new_key().text}",
        "cut": f"Bearer {api.key[:-1]}",
        "two": f"Bearer {api.key}, {api.key}",
        "no scheme": api.key,
        "another scheme": f"Basic {api.key}",
        "empty": "Bearer ",
    }
    for step in all_steps(api):
        if step.path in OPEN:
            continue
        for name, authorization in wrong.items():
            answer = await api.call(
                step.method, filled(step.path), key=None, raw=b"{}", headers={"Authorization": authorization}
            )
            assert_problem(answer, (step, name), 401)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_a_key_of_too_small_a_scope_opens_no_route(engine: AsyncEngine, api: Api) -> None:
    keys = {scope: await make_key(engine, scope) for scope in SCOPES}
    described = scopes_of(api)
    assert {step for step in all_steps(api) if step.path not in OPEN} == {
        step for step, scope in described.items() if scope
    }
    refused = 0
    for step, needed in described.items():
        for scope in SCOPES[: SCOPES.index(needed)] if needed else ():
            answer = await api.call(step.method, filled(step.path), key=keys[scope], raw=b"{}")
            assert_problem(answer, (step, scope), 403)
            assert answer.headers["WWW-Authenticate"] == f'Bearer error="insufficient_scope", scope="{needed}"'
            refused += 1
    assert refused > 30


async def test_methods_that_a_path_does_not_take(api: Api) -> None:
    taken: dict[str, set[str]] = {}
    for step in all_steps(api):
        taken.setdefault(filled(step.path), set()).add(step.method)
    for path, methods in taken.items():
        if "GET" in methods:
            methods.add("HEAD")
        for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "HEAD"):
            if method in methods:
                continue
            answer = await api.call(method, path)
            if method != "HEAD":
                assert_problem(answer, (method, path), 405)
            assert answer.status == 405, (method, path)
            assert set(answer.headers["Allow"].split(", ")) == methods, (method, path)


async def test_head_is_get_without_a_body(engine: AsyncEngine, api: Api) -> None:
    known = await something_of_everything(api, engine)
    for template in gets(api):
        path = filled(template, **known)
        got, head = await api.get(path), await api.call("HEAD", path)
        assert (head.status, head.body) == (got.status, b""), path
        if template != "/metrics":  # it counts this very request
            assert head.headers.get("ETag") == got.headers.get("ETag"), path


async def test_every_answer_to_get_has_a_tag_and_is_spared_who_has_it(engine: AsyncEngine, api: Api) -> None:
    known = await something_of_everything(api, engine)
    for template in gets(api):
        path = filled(template, **known)
        got = await api.get(path)
        assert got.status == 200, (path, got.body[:300])
        tag = got.headers["ETag"]
        assert tag.startswith('"')
        if template == "/metrics":  # they move by being read
            continue
        for given in (tag, f"W/{tag}", f'"other", {tag}', f'"other",W/{tag} ,"more"', "*"):
            spared = await api.get(path, headers={"If-None-Match": given})
            assert (spared.status, spared.body) == (304, b""), (path, given)
            assert spared.headers["ETag"] == tag
            assert "Content-Type" not in spared.headers
        for other in ('"other"', tag.strip('"'), "", '"*"', tag.upper().replace('"', "'")):
            assert (await api.get(path, headers={"If-None-Match": other})).status == 200, (path, other)


ODD = [
    *["%00", "a%00b", "%2F", "%2f..%2f", "%ff", "%c0%af", "%ed%a0%80", "%", "%zz", "%2525", "..", "%2e%2e", ".", "%20"],
    *[
        "%0d%0aX:%20y",
        "a;b=c",
        "a?b",
        "a%3Fb",
        "a%23b",
        "+",
        "~",
        "%E2%80%AE",
        "%F0%9F%99%82",
        "' OR 1=1 --",
        "${x}",
        "{y}",
    ],
    *["1e309", "-1", "0", "9" * 40, "a" * 257, "a" * 20_000, "%61" * 300],
]


async def test_odd_names_in_every_path(api: Api) -> None:
    templates = {step.path for step in all_steps(api) if "{" in step.path}
    assert len(templates) > 15
    for template in templates:
        for odd in ODD:
            path = template.replace("{", "\0").replace("}", "\0").split("\0")
            path[1::2] = [odd.replace(" ", "%20")] * len(path[1::2])
            answer = await api.get("".join(path))
            assert answer.status in (200, 304, 404, 405, 422), ("".join(path)[:200], answer.status)
            if answer.status >= 400:
                assert_problem(answer, template, 404, 405, 422)
                assert b"Traceback" not in answer.body


async def test_odd_paths_queries_and_headers(api: Api) -> None:
    for path in (
        "//",
        "/v1//accounts",
        "/v1/accounts/",
        "/V1/accounts",
        "/v1/accounts/acme/health/",
        "/docs/",
        "/docs/../openapi.json",
        "/docs/..%2f..%2fapp.py",
        "/docs/index.html",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/" + "a/" * 5_000,
    ):
        assert_problem(await api.get(path), path[:100], 404)
    for query in (
        "%ff=1",
        "page_size=%00",
        "page_size=1&page_size=2000",
        "&" * 5_000,
        "a[b]=c",
        "page_token=%00",
        "%",
        "=",
    ):
        answer = await api.get(f"/v1/accounts?{query}")
        assert answer.status in (200, 422), query
    for name, value in (
        ("Accept", "\xff" * 100),
        ("Accept", "x/" * 5_000),
        ("If-None-Match", ",," * 5_000),
        ("Content-Type", "\xff;" * 100),
        ("X-Request-Id", "a" * 50_000),
        ("Authorization", "Bearer " + "a" * 50_000),
        ("Range", "bytes=0-1"),
        ("Expect", "the unexpected"),
        ("X-Forwarded-For", "'\";" * 1_000),
        ("Cookie", "a=b; " * 1_000),
    ):
        answer = await api.get("/metrics", headers={name: value})
        assert answer.status in (200, 401), (name, answer.status)


async def test_two_headers_of_one_name_count_as_one_list(api: Api) -> None:
    tag = (await api.get("/v1/alert-rules")).headers["ETag"]
    host, port = api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"GET /v1/alert-rules HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {api.key}\r\n"
    writer.write(f'{head}If-None-Match: "other"\r\nIf-None-Match: {tag}\r\n\r\n'.encode())
    assert (await reader.read(-1)).startswith(b"HTTP/1.1 304 ")
    writer.close()
