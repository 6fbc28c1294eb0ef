"""Spans of attempts: they continue the trace of the event behind the alert, and pass it on to the receiver."""

from contextlib import AbstractContextManager
from dataclasses import replace

from msgspec import structs

from service.delivery.retry import is_success
from service.delivery.transport.http import Reply, Request
from service.messaging.publisher import RawRecord
from service.observability import spans, tracing
from service.storage.webhooks.outbox import ClaimedDelivery

_HEADER = "traceparent"


def attempt_span(delivery: ClaimedDelivery) -> AbstractContextManager[spans.Span]:
    """The span of an attempt. It doesn't name the URL, which may be secret."""
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
    """Record the reply on the span."""
    if reply.status is not None:
        span.add({"http.response.status_code": reply.status})
    if reply.failure or reply.status is None or not is_success(reply.status):
        span.fail(reply.failure or str(reply.status))


def with_traceparent(traceparent: str | None, prepared: Request | RawRecord) -> Request | RawRecord:
    """The message with its trace context, in place of any in the endpoint's own headers."""
    if traceparent is None:
        return prepared
    if isinstance(prepared, RawRecord):
        return structs.replace(prepared, headers=(*prepared.headers, (_HEADER, traceparent.encode())))
    others = {name: value for name, value in prepared.headers.items() if name.lower() != _HEADER}
    return replace(prepared, headers={**others, _HEADER: traceparent})
