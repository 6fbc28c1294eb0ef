"""Answers that operations share: errors, headers, examples, and links to what may follow.

They follow from what an operation takes: a key, a body, parameters, a path with a name in it.
"""

from collections.abc import Iterator
from typing import Any

from service.api.docs.examples import EXAMPLES
from service.api.http.problems import MEDIA_TYPE, title_of

Operation = dict[str, Any]

_ERRORS = {
    400: "The request isn't valid HTTP.",
    401: "There is no key, or it is unknown or has expired.",
    403: "The key lacks the scope that this needs.",
    404: "There is nothing of that name.",
    408: "The body didn't arrive in time.",
    409: "It isn't possible now; `detail` says why.",
    413: "The body is too long.",
    415: "The body has an unsupported media type.",
    422: "Fields of the request are at fault; `errors` names each.",
    429: "The key sends too many requests, or too many wrong keys came from this address.",
    500: "Something broke; the log has the details under `request_id`.",
    501: "The server lacks an extra that this needs; `detail` says how to install it.",
    503: "Postgres, Kafka or this process is unavailable; with `Retry-After` a retry makes sense.",
}
_CONFLICTS = frozenset(
    {
        "acknowledge_alert",
        "change_rule",
        "create_backtest",
        "create_rule",
        "replace_rule",
        "replay_dead_letter",
        "resend_delivery",
        "rotate_secret",
        "send_test",
        "snooze_alert",
    }
)
_NEED_AN_EXTRA = frozenset({"create_backtest"})
_LINKS: dict[str, dict[str, dict[str, str]]] = {
    "create_backtest": {"read_backtest": {"backtest_id": "/id"}},
    "create_endpoint": {"read_endpoint": {"endpoint_id": "/id"}, "send_test": {"endpoint_id": "/id"}},
    "create_key": {"read_key": {"key_id": "/id"}, "delete_key": {"key_id": "/id"}},
    "create_rule": {"read_rule": {"rule_id": "/id"}, "delete_rule": {"rule_id": "/id"}},
    "publish_scorecard": {"read_version": {"name": "/name", "version": "/version"}},
    "send_test": {"read_delivery": {"delivery_id": "/delivery_id"}, "resend_delivery": {"delivery_id": "/delivery_id"}},
    "snooze_alert": {"end_snooze": {"alert_id": "/id"}},
}
"""The operations that may follow one, by its id, and the place of each of their parameters in its answer."""

_TEXT = {"type": "string"}
_SECONDS = {"type": "string", "pattern": r"^\d+$"}
_HEADERS: dict[str, dict[str, Any]] = {
    "ETag": {"description": "Changes when the answer does; for `If-None-Match`.", "schema": _TEXT, "required": True},
    "X-Request-Id": {"description": "The request's id in the log.", "schema": _TEXT, "required": True},
    "RateLimit": {
        "description": "`r` requests are left for the key; all of them again in `t` seconds.",
        "schema": _TEXT,
    },
    "RateLimit-Policy": {"description": "A key has `q` requests in `w` seconds.", "schema": _TEXT},
    "Retry-After": {"description": "Seconds until the next try.", "schema": _SECONDS},
    "WWW-Authenticate": {"description": "RFC 6750.", "schema": _TEXT, "required": True},
}


def describe_answers(document: dict[str, Any]) -> None:
    """Add to each operation of an OpenAPI document the answers it may give."""
    schemas = document["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            _describe(operation, method, path)


def _describe(operation: Operation, method: str, path: str) -> None:
    for parameter in operation.get("parameters", []):
        parameter["schema"] = _without_null(parameter["schema"])
    answers = operation["responses"]
    answers.pop("422", None)  # as FastAPI's own would look
    for status, answer in answers.items():
        answer["headers"] = _headers(operation, method, int(status))
        _give_examples(answer)
        if status.startswith("2") and (links := _LINKS.get(operation["operationId"])):
            answer["links"] = _links(links)
    if method == "get":
        headers = _headers(operation, method, 304)
        answers["304"] = {"description": "The answer is still the one in `If-None-Match`.", "headers": headers}
    for status in _errors(operation, path):
        answers[str(status)] = {
            "description": _ERRORS[status],
            "headers": _headers(operation, method, status),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "example": _problem(status)}},
        }
    operation["responses"] = dict(sorted(answers.items()))


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A query can't express null: it leaves a parameter out."""
    forms = [form for form in schema.get("anyOf", []) if form != {"type": "null"}]
    if len(forms) != 1:
        return schema
    return {**{name: value for name, value in schema.items() if name != "anyOf"}, **forms[0]}


def _errors(operation: Operation, path: str) -> Iterator[int]:
    yield from (400, 500, 503)
    if "security" in operation:
        yield from (401, 403, 429)
    if "{" in path:
        yield 404
    if operation["operationId"] in _CONFLICTS:
        yield 409
    if operation["operationId"] in _NEED_AN_EXTRA:
        yield 501
    if "requestBody" in operation:
        yield from (408, 413, 415)
    if "requestBody" in operation or "parameters" in operation:
        yield 422


def _headers(operation: Operation, method: str, status: int) -> dict[str, Any]:
    names = ["X-Request-Id"] if status != 400 else []
    if method == "get" and status in (200, 304):
        names.append("ETag")
    if "security" in operation and status not in (400, 401):
        names += ["RateLimit", "RateLimit-Policy"]
    if status in (401, 403):
        names.append("WWW-Authenticate")
    if status in (429, 503):
        names.append("Retry-After")
    return {name: _HEADERS[name] for name in names}


def _give_examples(answer: dict[str, Any]) -> None:
    for content in answer.get("content", {}).values():
        name = content.get("schema", {}).get("$ref", "").rpartition("/")[2]
        if name in EXAMPLES:
            content["example"] = EXAMPLES[name]


def _links(targets: dict[str, dict[str, str]]) -> dict[str, Any]:
    return {
        target: {
            "operationId": target,
            "parameters": {name: f"$response.body#{pointer}" for name, pointer in parameters.items()},
        }
        for target, parameters in targets.items()
    }


def _problem(status: int) -> dict[str, Any]:
    problem: dict[str, Any] = {
        "type": "about:blank",
        "title": title_of(status),
        "status": status,
        "detail": _ERRORS[status],
    }
    if status == 422:
        problem["errors"] = [{"field": "page_size", "message": "Input should be less than or equal to 1000"}]
    return problem
