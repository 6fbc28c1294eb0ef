"""The frame of every request: an id, a measurement, headers, and an answer even when the code below breaks."""

import re
import time
from collections.abc import MutableMapping
from functools import cache
from secrets import token_hex
from typing import Any

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.api.http import problems
from service.api.http.headers import first_of
from service.api.middleware.tracing import request_span
from service.observability import metrics

log = structlog.get_logger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_CLIENT_GONE = 499
_HEADERS = "health.headers"
# The library looks a set of labels up under a lock, which takes longer than measuring.
_seconds_of = cache(metrics.REQUEST_SECONDS.labels)

RawHeader = tuple[bytes, bytes]
_ALWAYS: tuple[RawHeader, ...] = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"))
# Stored only by the caller, and revalidated before each use; secrets send no-store themselves.
_PRIVATE: RawHeader = (b"cache-control", b"private, no-cache")
_NO_CONTENT: RawHeader = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
"""The policy of answers that browsers don't show."""


class RequestLog:
    """The outermost layer. Metrics name the route, never the path, so that no account id gets into a label."""

    def __init__(self, app: ASGIApp) -> None:
        """`app` is the rest of the service."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        exchange = _Exchange(_request_id(scope), send)
        # A copy: the server reads its own scope to drop the body of an answer to HEAD.
        inner = {**scope, "method": "GET" if scope["method"] == "HEAD" else scope["method"], _HEADERS: exchange.more}
        bound = structlog.contextvars.bind_contextvars(request_id=exchange.request_id)
        try:
            with request_span(inner, exchange):
                await self._answer(inner, receive, exchange)
        finally:
            structlog.contextvars.reset_contextvars(**bound)
            method = scope["method"] if scope["method"] in _METHODS else "other"
            seconds = time.perf_counter() - started
            _seconds_of(method, _route(inner), str(exchange.status)).observe(seconds)

    async def _answer(self, scope: Scope, receive: Receive, exchange: "_Exchange") -> None:
        try:
            await self._app(scope, receive, exchange.send)
        except ClientDisconnect:
            log.debug("client_gone", route=_route(scope))
        except Exception:
            log.exception("request_failed", method=scope["method"], route=_route(scope))
            if exchange.status != _CLIENT_GONE:
                raise  # half an answer is out; the server cuts the connection
            detail = "Something broke. The log has the details under the request id."
            response = problems.answer(500, detail, request_id=exchange.request_id)
            await response(scope, receive, exchange.send)


class _Exchange:
    """One request's id, and its answer as it goes out."""

    def __init__(self, request_id: str, send: Send) -> None:
        self.request_id = request_id
        self.status = _CLIENT_GONE
        self.more: list[RawHeader] = []
        self._send = send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = self._with_more([*message["headers"]])
        await self._send(message)

    def _with_more(self, headers: list[RawHeader]) -> list[RawHeader]:
        given = dict(headers)
        headers += ((b"x-request-id", self.request_id.encode()), *_ALWAYS, *self.more)
        if b"cache-control" not in given:
            headers.append(_PRIVATE)
        if b"content-security-policy" not in given:
            headers.append(_NO_CONTENT)
        return headers


def add_headers(scope: MutableMapping[str, Any], *headers: RawHeader) -> None:
    """Add headers to the answer of a request, whatever answers it and with any status."""
    scope.setdefault(_HEADERS, []).extend(headers)


def _request_id(scope: Scope) -> str:
    given = first_of(scope, b"x-request-id")
    return given if given and _REQUEST_ID.fullmatch(given) else token_hex(16)


def _route(scope: Scope) -> str:
    """The template of the route that matched the request."""
    route = scope.get("route")
    if route is not None:
        return str(route.path_format)
    return "docs" if "endpoint" in scope else "none"
