"""Spans of a trace and the tracer that makes them, as protocols."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Literal, Protocol

Kind = Literal["internal", "server", "client", "producer", "consumer"]


Attributes = Mapping[str, str | int | float | bool]


class Span(Protocol):
    """A piece of work. It ends with its block; an exception that passes through is noted by its type alone."""

    @property
    def traceparent(self) -> str | None:
        """The context to pass on; None if this trace isn't recorded."""

    def name(self, name: str) -> None:
        """Rename the span."""

    def add(self, attributes: Attributes) -> None:
        """Add attributes. No personal data, and no secrets."""

    def fail(self, kind: str) -> None:
        """Mark the span as failed, with the kind of failure."""


class Tracer(Protocol):
    """The maker of spans, while tracing is on."""

    def span(
        self, name: str, kind: Kind, parent: str | None, links: Iterable[str], attributes: Attributes, *, alone: bool
    ) -> AbstractContextManager[Span]:
        """See `service.observability.tracing.span`."""

    def ids(self) -> tuple[str, str] | None:
        """Trace and span of the work under way."""

    def current(self) -> str | None:
        """See `service.observability.tracing.current`."""

    def stop(self) -> None:
        """Send what is left, for some seconds at most."""
