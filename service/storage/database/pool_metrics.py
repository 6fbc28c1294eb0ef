"""Metrics of the connection pool: whether Postgres answers, and how full the pool is."""

from typing import Any

from sqlalchemy import Engine, ExceptionContext, event

from service.observability import metrics


def observe_engine(engine: Engine, name: str) -> None:
    """Show an engine in the metrics, for as long as it exists; its pool under `name`."""
    metrics.POOL.watch(engine, name)
    event.listen(engine, "checkout", _answered)
    event.listen(engine, "handle_error", _failed)


def _answered(*_: Any) -> None:
    """Note a connection taken from the pool, which has tested it first."""
    _POSTGRES.set(1)


def _failed(context: ExceptionContext) -> None:
    """Note a failed statement or connection; it counts only if the server is unavailable."""
    if context.is_disconnect or context.connection is None:
        _POSTGRES.set(0)


_POSTGRES = metrics.DEPENDENCY_UP.labels("postgres")
