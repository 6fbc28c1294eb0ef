"""Spans of attempts: they go on with the trace of the event that the alert came of, and hand it to the receiver."""

from contextlib import AbstractContextManager
from dataclasses import replace

from msgspec import structs

from service.delivery.retry import is_success
from service.delivery.transport.http import Reply, Request
from service.messaging.producer import RawRecord
from service.observability import spans, tracing
from service.storage.webhooks.outbox import ClaimedDelivery

_HEADER = "traceparent"


def attempt_span(delivery: ClaimedDelivery) -> AbstractContextManager[spans.Span]:
    """The span of an attempt. It doesn't name the URL, which may be a secret."""
    return tracing.span(
        "deliver",
        "client",
        parent=delivery.traceparent,
        attributes={
            "health.delivery_id": str(delivery.id),
            "health.endpoint_id": str(delivery.endpoint_id),
            "health.alert_id": str(delivery.alert_id),
            "health.target": delivery.target,
            "http.request.resend_count": delivery.attempt - 1,
        },
    )


def end_span(span: spans.Span, reply: Reply) -> None:
    """Note what came back."""
    if reply.status is not None:
        span.add({"http.response.status_code": reply.status})
    if reply.failure or reply.status is None or not is_success(reply.status):
        span.fail(reply.failure or str(reply.status))


def with_traceparent(traceparent: str | None, prepared: Request | RawRecord) -> Request | RawRecord:
    """The message with its context, in place of one that the endpoint's own headers may have."""
    if traceparent is None:
        return prepared
    if isinstance(prepared, RawRecord):
        return structs.replace(prepared, headers=(*prepared.headers, (_HEADER, traceparent.encode())))
    others = {name: value for name, value in prepared.headers.items() if name.lower() != _HEADER}
    return replace(prepared, headers={**others, _HEADER: traceparent})
