"""Every error is a problem of RFC 9457, and no answer reveals more than it should."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from service.observability import metrics
from service.runtime.errors import HealthError
from tests.support.api import Answer, Api, make_key, running
from tests.support.cloud_events import usage
from tests.support.service import settings_for

pytestmark = pytest.mark.anyio

RULE = {"name": "r", "kind": "score", "direction": "below", "level": 40}


def assert_problem(answer: Answer, status: int) -> None:
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json
    assert problem["status"] == status
    assert problem["type"] == "about:blank"
    assert problem["title"]
    assert problem["detail"]
    assert ("errors" in problem) == (status == 422)
    for error in problem.get("errors", []):
        assert error.keys() == {"field", "message"}


async def test_what_isn_t_there(api: Api) -> None:
    for path in (
        "/",
        "/v1",
        "/v1/accounts/",
        "/v1/accounts/acme",
        "/v1/accounts/acme/",
        "/v1/accounts/acme/nothing",
        "/v1/scorecards/unknown/versions",
        f"/v1/alert-rules/{uuid4()}",
        f"/v1/webhook-endpoints/{uuid4()}",
        f"/v1/webhook-endpoints/{uuid4()}/deliveries",
        f"/v1/api-keys/{uuid4()}",
    ):
        assert_problem(await api.get(path), 404)
    for path in (f"/v1/alert-rules/{uuid4()}", f"/v1/webhook-endpoints/{uuid4()}"):
        assert_problem(await api.delete(path), 404)
    assert_problem(await api.put(f"/v1/alert-rules/{uuid4()}", RULE), 404)
    assert_problem(await api.patch(f"/v1/alert-rules/{uuid4()}", {}), 404)
    assert_problem(await api.put(f"/v1/webhook-endpoints/{uuid4()}", {"url": "https://a.example"}), 404)
    assert_problem(await api.patch(f"/v1/webhook-endpoints/{uuid4()}", {}), 404)


async def test_a_method_that_a_path_doesn_t_take(api: Api) -> None:
    for method, path, allowed in (
        ("DELETE", "/v1/accounts", "GET, HEAD"),
        ("POST", "/v1/accounts/a%2Fb", "DELETE, GET, HEAD, PUT"),
        ("GET", "/v1/events", "POST"),
        ("OPTIONS", f"/v1/alert-rules/{uuid4()}", "DELETE, GET, HEAD, PATCH, PUT"),
        ("POST", "/livez", "GET, HEAD"),
        ("POST", "/docs", "GET, HEAD"),
        ("PROPFIND", "/v1/alerts", "GET, HEAD"),
    ):
        answer = await api.call(method, path)
        assert_problem(answer, 405)
        assert answer.headers["Allow"] == allowed, path


async def test_bodies_of_another_type(api: Api) -> None:
    for path, content_type in (
        ("/v1/alert-rules", "text/plain"),
        ("/v1/alert-rules", ""),
        ("/v1/scorecards", "application/yaml"),
        ("/v1/webhook-endpoints", "application/x-www-form-urlencoded"),
        ("/v1/api-keys", "application/jsonp"),
        ("/v1/events", "text/json"),
    ):
        answer = await api.post(path, raw=b"{}", headers={"Content-Type": content_type})
        assert_problem(answer, 415)
        assert "application/json" in answer.json["detail"]
    answer = await api.post("/v1/alert-rules", raw=b"{}", headers={"Content-Type": "Application/JSON; charset=utf-8"})
    assert answer.status == 422


BROKEN = {
    "empty": b"",
    "cut": b'{"name": "a',
    "NaN": b'{"level": NaN}',
    "Infinity": b'{"level": Infinity}',
    "not UTF-8": b'{"name": "\xff"}',
    "a lone surrogate": b'{"name": "\\ud800"}',
    "huge number": b'{"level": 1e999}',
    "two values": b"{} {}",
    "deep": b"[" * 100_000,
    "deep object": b'{"a":' * 100_000,
}
NO_OBJECTS = {"array": b"[]", "null": b"null", "text": b'"a"', "number": b"1"}


@pytest.mark.parametrize("path", ["/v1/events", "/v1/alert-rules"])
async def test_a_compressed_body_is_refused_as_such(api: Api, path: str) -> None:
    body, headers = json.dumps(usage("acme")).encode(), {"Content-Type": "application/json"}
    for coding in ("gzip", "GZIP", "br", "zstd, gzip"):
        sent = gzip.compress(body) if coding == "gzip" else body
        answer = await api.post(path, raw=sent, headers={**headers, "Content-Encoding": coding})
        assert_problem(answer, 415)
        assert "without Content-Encoding" in answer.json["detail"]
        assert answer.headers["Accept-Encoding"] == "identity"
    assert (await api.post("/v1/events", raw=body, headers={**headers, "Content-Encoding": "identity"})).status == 202


async def test_bodies_that_are_not_json_objects(api: Api) -> None:
    targets = [
        ("POST", "/v1/alert-rules"),
        ("PUT", f"/v1/alert-rules/{uuid4()}"),
        ("POST", "/v1/scorecards"),
        ("POST", "/v1/webhook-endpoints"),
        ("POST", "/v1/api-keys"),
        ("PUT", "/v1/accounts/acme"),
        ("POST", "/v1/events"),
    ]
    for method, path in targets:
        for name, raw in (BROKEN | NO_OBJECTS).items():
            if path == "/v1/events" and name == "array":
                continue
            answer = await api.call(method, path, raw=raw, headers={"Content-Type": "application/json"})
            assert_problem(answer, 422)
            if name in NO_OBJECTS:
                assert answer.fields in (["body"], ["event"]), (path, name)


async def test_bodies_that_are_too_long(database_url: str, engine: AsyncEngine) -> None:
    settings = settings_for(database_url, "127.0.0.1:1", "", http_max_body_bytes=2_000)
    async with running(settings, await make_key(engine, "admin")) as api:
        head = {"Content-Type": "application/json"}

        async def chunks(size: int) -> AsyncIterator[bytes]:
            for _ in range(size // 100):
                yield b" " * 100

        for size, status in ((2_000, 422), (2_100, 413), (1_000_000, 413)):
            for raw in (b" " * size, chunks(size)):
                answer = await api.post("/v1/alert-rules", raw=raw, headers=head)
                assert_problem(answer, status)
        assert "2,000 bytes" in answer.json["detail"]
        # The connection is still in order, or a new one is.
        assert (await api.get("/v1/alert-rules")).status == 200


async def test_a_path_parameter_of_the_wrong_form_is_named(api: Api) -> None:
    for path, field in (
        ("/v1/alert-rules/7", "rule_id"),
        ("/v1/webhook-endpoints/x", "endpoint_id"),
        ("/v1/scorecards/A%00/versions", "name"),
    ):
        answer = await api.get(path)
        assert_problem(answer, 422)
        assert answer.fields == [field]


async def test_a_mistake_of_ours_reveals_only_its_id(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr("service.storage.policy.rules.all_rules", broken)
    with capture_logs(processors=[merge_contextvars]) as logs:
        answer = await api.get("/v1/alert-rules", headers={"X-Request-Id": "my-request"})
    assert_problem(answer, 500)
    (line,) = logs
    assert (line["event"], line["request_id"], line["route"]) == ("request_failed", "my-request", "/v1/alert-rules")
    assert answer.json["request_id"] == answer.headers["X-Request-Id"] == "my-request"
    assert b"secret" not in answer.body
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_what_an_operator_has_to_do_is_said(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: object, **__: object) -> None:
        raise HealthError("Something is missing", "Run: account-health fix")

    monkeypatch.setattr("service.storage.policy.rules.all_rules", refused)
    answer = await api.get("/v1/alert-rules")
    assert_problem(answer, 503)
    assert "Run: account-health fix" in answer.json["detail"]


async def test_without_postgres_only_liveness_is_answered(database_url: str, engine: AsyncEngine) -> None:
    url = database_url.rpartition("@")[0] + "@127.0.0.1:1/health"
    async with running(settings_for(url, "127.0.0.1:1", ""), "hk_any") as api:
        assert (await api.get("/livez", key=None)).status == 200
        assert (await api.get("/openapi.json", key=None)).status == 200
        ready = await api.get("/readyz", key=None)
        assert_problem(ready, 503)
        assert "Postgres can't be reached" in ready.json["detail"]
        answer = await api.get("/v1/accounts")
        assert_problem(answer, 503)
        assert answer.headers["Retry-After"] == "5"


async def test_readiness_says_what_is_wrong_with_the_database(api: Api, engine: AsyncEngine) -> None:
    ready = (await api.get("/readyz", key=None)).json
    assert ready.pop("folding").startswith("no consumer has started on account-events; ")
    assert ready == {"status": "ready"}
    for statement, status, said in (
        ("UPDATE alembic_version SET version_num = 'from the future'", 200, ""),
        ("DROP TABLE alembic_version", 503, "Run: account-health migrate"),
    ):
        async with engine.begin() as connection:
            await connection.execute(text(statement))
        answer = await api.get("/readyz", key=None)
        assert answer.status == status
        assert said in answer.json.get("detail", "")


async def test_without_tables_the_remedy_is_named(api: Api, engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("DROP TABLE alert_rules CASCADE"))
    answer = await api.get("/v1/alert-rules")
    assert_problem(answer, 503)
    assert "account-health migrate" in answer.json["detail"]


async def test_every_answer_has_an_id_and_closed_headers(api: Api) -> None:
    for path, given, kept in (
        ("/v1/accounts", "a-b_c.1", True),
        ("/v1/nothing", "a-b_c.1", True),
        ("/v1/accounts", "a b", False),
        ("/v1/accounts", "x" * 129, False),
        ("/livez", "", False),
    ):
        headers = (await api.get(path, headers={"X-Request-Id": given})).headers
        assert (headers["X-Request-Id"] == given) == kept
        assert headers["X-Request-Id"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert headers["Cache-Control"] == "private, no-cache"
        assert "Server" not in headers


def counted(method: str, route: str, status: str) -> float:
    value = metrics.REQUEST_SECONDS.labels(method, route, status)._sum.get()
    return float(value)


async def test_metrics_name_routes_and_never_paths(api: Api) -> None:
    await api.put("/v1/accounts/a-telling-name", {})
    for method, path in (
        ("GET", "/v1/accounts/a-telling-name/health"),
        ("HEAD", "/v1/accounts/a-telling-name"),
        ("DELETE", "/v1/accounts/another-telling-name"),
        ("GET", "/a-telling-path"),
        ("PROPFIND", "/v1/alerts"),
        ("GET", "/docs"),
    ):
        await api.call(method, path)
    exposed = (await api.get("/metrics")).body.decode()
    assert "telling" not in exposed
    assert "PROPFIND" not in exposed
    for method, route, status in (
        ("GET", "/v1/accounts/{account_id}/health", "200"),
        ("HEAD", "/v1/accounts/{account_id}", "200"),
        ("DELETE", "/v1/accounts/{account_id}", "404"),
        ("GET", "none", "404"),
        ("other", "/v1/alerts", "405"),
        ("GET", "docs", "200"),
    ):
        assert counted(method, route, status) > 0, (method, route, status)
        assert f'health_http_request_seconds_count{{method="{method}",route="{route}",status="{status}"}}' in exposed


async def test_a_client_that_goes_away_is_no_error(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    host, port = api.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"POST /v1/alert-rules HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {api.key}\r\n"
    writer.write(head.encode() + b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{")
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.close()
    await asyncio.sleep(0.1)
    assert (await api.get("/livez")).status == 200
    assert "Traceback" not in caplog.text


async def test_the_problem_schema_is_what_is_sent(api: Api) -> None:
    schemas = (await api.get("/openapi.json")).json["components"]["schemas"]
    problem = (await api.post("/v1/alert-rules", {})).json
    assert set(problem) <= set(schemas["Problem"]["properties"])
    assert set(schemas["Problem"]["required"]) <= set(problem)
    assert json.dumps(schemas).count("HTTPValidationError") == 0
