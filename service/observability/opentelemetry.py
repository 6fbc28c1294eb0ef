"""Spans by OpenTelemetry, sent over OTLP. Imported only while tracing is on: it is an extra."""

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import structlog
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from service.observability.spans import Attributes, Kind
from service.observability.trace_context import valid
from service.runtime.errors import HealthError

log = structlog.get_logger(__name__)

STOP_SECONDS = 3.0
"""The seconds for which a process waits at its end until its last spans are sent."""


class OtelSpan:
    """A span of OpenTelemetry as `service.observability.tracing` knows it."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str | None:
        return _kept(self._span.get_span_context())

    def name(self, name: str) -> None:
        self._span.update_name(name)

    def add(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def fail(self, kind: str) -> None:
        self._span.set_attribute("error.type", kind)
        self._span.set_status(Status(StatusCode.ERROR))


class OtelTracer:
    """The tracer of a process. Address, headers, sampler and queue come from OpenTelemetry's own OTEL_… variables."""

    def __init__(self, process: str) -> None:
        """Start a sending thread. Raises `HealthError` if one of those variables can't be used."""
        named = OTELResourceDetector().detect().attributes.get("service.name", "account-health")
        resource = Resource.create(
            {"service.name": named, "service.namespace": "account-health", "health.process": process}
        )
        try:
            self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
            self._exporter = WatchedExporter(OTLPSpanExporter())
            self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        except ValueError as error:
            raise HealthError(f"Tracing can't be started: {error}", "Check the OTEL_… variables") from None
        self._tracer = self._provider.get_tracer("account-health")

    @contextmanager
    def span(
        self, name: str, kind: Kind, parent: str | None, links: Iterable[str], attributes: Attributes, *, alone: bool
    ) -> Iterator[OtelSpan]:
        """As `service.observability.tracing.span`."""
        context = trace.set_span_in_context(_remote(parent)) if parent and valid(parent) else None
        if context is None and alone:
            context = trace.set_span_in_context(trace.INVALID_SPAN)
        span = self._tracer.start_span(
            name,
            context,
            SpanKind[kind.upper()],
            attributes,
            [Link(_remote(link).get_span_context()) for link in links],
            record_exception=False,  # error messages may hold personal data
            set_status_on_exception=False,
        )
        wrapped = OtelSpan(span)
        try:
            if alone:
                yield wrapped
            else:
                with trace.use_span(span, record_exception=False, set_status_on_exception=False):
                    yield wrapped
        except BaseException as error:
            wrapped.fail(type(error).__name__)
            raise
        finally:
            span.end()

    def ids(self) -> tuple[str, str] | None:
        """As `service.observability.tracing.ids`."""
        context = trace.get_current_span().get_span_context()
        return (f"{context.trace_id:032x}", f"{context.span_id:016x}") if context.is_valid else None

    def current(self) -> str | None:
        """As `service.observability.tracing.current`."""
        return _kept(trace.get_current_span().get_span_context())

    def stop(self) -> None:
        """Send what is left, without waiting for a collector that doesn't take it: a clean end matters more than
        traces.
        """
        stopping = threading.Thread(target=self._provider.shutdown, daemon=True)
        stopping.start()
        stopping.join(STOP_SECONDS)


def _kept(context: SpanContext) -> str | None:
    if not (context.is_valid and context.trace_flags.sampled):
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-01"


def _remote(traceparent: str) -> NonRecordingSpan:
    _, trace_id, span_id, flags = traceparent.split("-")[:4]
    context = SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
    return NonRecordingSpan(context)


class WatchedExporter(SpanExporter):
    """An exporter that logs its failures once. Spans that can't be sent are dropped: nothing piles up or waits."""

    def __init__(self, exporter: SpanExporter) -> None:
        """Silence OpenTelemetry's own lines, one for each try and for each span that is dropped."""
        self._exporter = exporter
        self._failing = False
        self._reason = ""
        logging.getLogger("opentelemetry.sdk").setLevel(logging.CRITICAL)
        logging.getLogger(type(exporter).__module__).addFilter(self._overhear)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send; called by one thread at a time."""
        result = self._exporter.export(spans)
        failing = result is not SpanExportResult.SUCCESS
        if failing and not self._failing:
            log.warning(
                "traces_not_exported",
                reason=self._reason,
                remedy="Check OTEL_EXPORTER_OTLP_ENDPOINT and that the collector runs; spans are dropped meanwhile",
            )
        elif self._failing and not failing:
            log.info("traces_exported_again")
        self._failing = failing
        return result

    def shutdown(self) -> None:
        """Send no more."""
        self._exporter.shutdown()

    def _overhear(self, record: logging.LogRecord) -> bool:
        self._reason = record.getMessage()
        return False
