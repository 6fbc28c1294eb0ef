"""Spans of a trace and the tracer that makes them, as protocols."""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from typing import Literal, Protocol

Kind = Literal["internal", "server", "client", "producer", "consumer"]


Attributes = Mapping[str, str | int | float | bool]


class Span(Protocol):
    """A stretch of work. It ends with its block; an exception that passes is noted by its type alone."""

    @property
    def traceparent(self) -> str | None:
        """The context to hand on; None if this trace isn't kept."""

    def name(self, name: str) -> None:
        """Call it something else."""

    def add(self, attributes: Attributes) -> None:
        """Say more about it. No personal data, and no secrets."""

    def fail(self, kind: str) -> None:
        """Note that it failed, and how."""


class Tracer(Protocol):
    """What makes spans, while tracing is on."""

    def span(
        self, name: str, kind: Kind, parent: str | None, links: Iterable[str], attributes: Attributes, *, alone: bool
    ) -> AbstractContextManager[Span]:
        """As `span` below."""

    def ids(self) -> tuple[str, str] | None:
        """Trace and span of the work under way."""

    def current(self) -> str | None:
        """As `current` below."""

    def stop(self) -> None:
        """Send what is left, for some seconds at most."""
