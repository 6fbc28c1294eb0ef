"""Spans of the API: one for each request, by its route, and one for what it publishes."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Protocol

from starlette.types import Scope

from service.api.http.headers import first_of
from service.messaging.publisher import Publisher, RawRecord, Record
from service.observability import spans, tracing

_UNTRACED = frozenset({"/livez", "/readyz", "/metrics"})
"""Requested every few seconds, by machines."""
_HEADER = "traceparent"
_ATTRIBUTE = b'"traceparent"'


class Exchange(Protocol):
    """A request's answer."""

    status: int


def request_span(scope: Scope, exchange: Exchange) -> AbstractContextManager[None]:
    """The span of a request, in the trace that it brings. The route is the template's, never the path."""
    return _spanning(scope, exchange) if tracing.is_on() and scope["path"] not in _UNTRACED else nullcontext()


@contextmanager
def _spanning(scope: Scope, exchange: Exchange) -> Iterator[None]:
    method = scope["method"]
    attributes = {"http.request.method": method}
    with tracing.span(method, "server", parent=_given(scope), attributes=attributes) as span:
        try:
            yield
        finally:
            route = getattr(scope.get("route"), "path_format", None)
            if route:
                span.name(f"{method} {route}")
                span.add({"http.route": route})
            span.add({"http.response.status_code": exchange.status})
            if exchange.status >= 500:
                span.fail(str(exchange.status))


def _given(scope: Scope) -> str | None:
    return first_of(scope, _HEADER.encode())


def brings_context(scope: Scope) -> bool:
    """True if the request is part of its caller's trace."""
    return _given(scope) is not None


def traces(account_id: str) -> Mapping[str, str]:
    """The traces for `advance_accounts`, so that the account's alerts continue the request's trace."""
    context = tracing.current()
    return {account_id: context} if context else {}


async def publish(publisher: Publisher, records: Sequence[Record], *, over_events: bool) -> None:
    """Publish like `Publisher.publish`, with the request's trace in the records' headers.

    A record that has a context of its own keeps that, unless `over_events` is set.
    """
    if not tracing.is_on():
        await publisher.publish(records)
        return
    attributes: spans.Attributes = {
        "messaging.system": "kafka",
        "messaging.operation.type": "send",
        "messaging.batch.message_count": len(records),
    }
    with tracing.span("send events", "producer", attributes=attributes) as span:
        context = span.traceparent
        if context is None:
            await publisher.publish(records)
            return
        headers = [(_HEADER, context.encode())]
        await publisher.publish(
            [
                RawRecord(topic, key.encode(), value, headers if over_events or _ATTRIBUTE not in value else ())
                for topic, key, value in records
            ]
        )
