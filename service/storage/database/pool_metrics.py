"""What is seen of Postgres from where connections are made and taken: whether it answers, and how full the pool is."""

from typing import Any

from sqlalchemy import Engine, ExceptionContext, event

from service.observability import metrics


def observe_engine(engine: Engine, name: str) -> None:
    """Show an engine in the metrics, for as long as it is there; its pool under `name`."""
    metrics.POOL.watch(engine, name)
    event.listen(engine, "checkout", _answered)
    event.listen(engine, "handle_error", _failed)


def _answered(*_: Any) -> None:
    """A connection was taken from the pool, which has tried it first."""
    _POSTGRES.set(1)


def _failed(context: ExceptionContext) -> None:
    """A statement failed or no connection could be made; only where the server is away, that is news."""
    if context.is_disconnect or context.connection is None:
        _POSTGRES.set(0)


_POSTGRES = metrics.DEPENDENCY_UP.labels("postgres")
