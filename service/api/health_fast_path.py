"""The fast path of GET /v1/accounts/{id}/health for its most frequent form: today's health, by a cached key, of an
account whose stored score is still valid. It is requested more often than all the rest together.
"""

import structlog
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.access.deps import Context
from service.api.http.account_paths import LONGEST_ACCOUNT_ID
from service.api.middleware.etag import matches, tag_of
from service.api.resources.health import encode
from service.api.resources.health_document import document
from service.evaluation import current_health
from service.runtime.api_key import allows

log = structlog.get_logger(__name__)

_BEFORE, _AFTER = b"/v1/accounts/", b"/health"
_SPECIAL = (b"/", b"%")


class HealthFastPath:
    """Answers the plain case, in one statement. Everything else, errors included, is left to the route, which answers
    every case, and this one identically.
    """

    def __init__(self, app: ASGIApp, context: Context, route: BaseRoute) -> None:
        """`app` is the rest of the service, `route` the route whose requests it answers."""
        self._app = app
        self._context = context
        self._route = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        account_id = _account_id(scope) if scope["type"] == "http" else None
        body = await self._answer(account_id, scope) if account_id else None
        if body is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = self._route
        tag = tag_of(body)
        if matches(_header(scope, b"if-none-match"), tag):
            await _send(send, 304, b"", [(b"etag", tag.encode())])
        else:
            length = str(len(body)).encode()
            kind = (b"content-type", b"application/json")
            await _send(send, 200, body, [(b"content-length", length), kind, (b"etag", tag.encode())])

    async def _answer(self, account_id: str, scope: Scope) -> bytes | None:
        context = self._context
        scheme, _, text = _header(scope, b"authorization").partition(" ")
        key = context.keys.cached(text) if scheme == "Bearer" else None
        if key is None or not allows(key.scopes, "read") or context.rates.wait(scope, key):
            return None
        try:
            policy = await context.policies.recent_by(context.reads)
            health = await current_health.read(context.reads, context.scores, policy, account_id, context.clock())
        except Exception as error:  # noqa: BLE001 - the route will hit the same error, if it lasts, and report it
            log.debug("direct_read_failed", error=type(error).__name__)
            return None
        return encode(document(health)) if health else None


def _account_id(scope: Scope) -> str | None:
    """The account whose health today is requested; None for any other request, or if the id is written in a special
    way.
    """
    path: bytes = scope["raw_path"]
    if scope["method"] != "GET" or scope["query_string"] or not path.startswith(_BEFORE) or not path.endswith(_AFTER):
        return None
    name = path[len(_BEFORE) : -len(_AFTER)]
    if len(name) > LONGEST_ACCOUNT_ID or any(special in name for special in _SPECIAL):
        return None
    account_id = name.decode("latin-1")
    return account_id if account_id.isascii() and account_id.isprintable() else None


def _header(scope: Scope, name: bytes) -> str:
    return ", ".join(value.decode("latin-1") for key, value in scope["headers"] if key == name)


async def _send(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
