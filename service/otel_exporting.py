"""Sending spans, with one line in the log when the collector ceases to take them and one when it takes them again."""

import logging
from collections.abc import Sequence

import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

log = structlog.get_logger(__name__)


class WatchedExporter(SpanExporter):
    """An exporter whose failures are told once. What it can't send is dropped: nothing piles up, nothing waits."""

    def __init__(self, exporter: SpanExporter) -> None:
        """OpenTelemetry's own lines, one for each try and for each span that is dropped, go unheard from here on."""
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
