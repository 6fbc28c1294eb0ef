"""Traces, if HEALTH_TRACING asks for them: spans that other modules open, and contexts that they pass on.

Nothing of OpenTelemetry is imported, and a span costs nothing, unless tracing is on.
"""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from service.observability.spans import Attributes, Kind, Span, Tracer
from service.runtime.errors import HealthError
from service.runtime.settings import Settings

MISSING_EXTRA = HealthError(
    "HEALTH_TRACING is otlp, but OpenTelemetry isn't installed", "In the source folder, run: pip install '.[otel]'"
)


class _NoSpan:
    traceparent = None

    def name(self, name: str) -> None:
        """Nothing is traced."""

    def add(self, attributes: Attributes) -> None:
        """Nothing is traced."""

    def fail(self, kind: str) -> None:
        """Nothing is traced."""


_NOTHING: AbstractContextManager[Span] = nullcontext(_NoSpan())
_NO_ATTRIBUTES: Attributes = {}
_tracer: Tracer | None = None


def is_on() -> bool:
    """True if tracing is on; work that only traces need is skipped otherwise."""
    return _tracer is not None


def span(
    name: str,
    kind: Kind = "internal",
    *,
    parent: str | None = None,
    links: Iterable[str] = (),
    attributes: Attributes = _NO_ATTRIBUTES,
    alone: bool = False,
) -> AbstractContextManager[Span]:
    """A span for the block. Its parent is the context `parent`, else the work under way, else none.

    `alone` leaves the work under way as it is: such a span is no parent of spans opened in its block, and has no parent
    but the one that is given.
    """
    if _tracer is None:
        return _NOTHING
    return _tracer.span(name, kind, parent, links, attributes, alone=alone)


def ids() -> tuple[str, str] | None:
    """Trace and span of the work under way, for log lines; None if it isn't traced."""
    return _tracer.ids() if _tracer else None


def current() -> str | None:
    """The context of the work under way, to pass on; None if it isn't traced, or its trace isn't recorded."""
    return _tracer.current() if _tracer else None


@contextmanager
def tracing(settings: Settings, process: str) -> Iterator[None]:
    """Trace while the block runs, if the settings say so. Raises `HealthError` if that isn't possible here."""
    global _tracer  # noqa: PLW0603 - one for the process, like logging
    if settings.tracing == "off":
        yield
        return
    try:
        from service.observability.opentelemetry import OtelTracer
    except ImportError:
        raise MISSING_EXTRA from None
    _tracer = OtelTracer(process)
    try:
        yield
    finally:
        stopping, _tracer = _tracer, None
        stopping.stop()
