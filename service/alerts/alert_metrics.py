"""Counts alerts for metrics: those that were committed, not those that a transaction tried to write."""

from collections import Counter
from collections.abc import Iterable

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncConnection

from service.observability import metrics


def count_when_committed(connection: AsyncConnection, states: Iterable[str]) -> None:
    """Count alerts of these states when the connection's transaction commits; not at all if it is rolled back."""
    counts = Counter(states)

    def count(_: Connection) -> None:
        for state, number in counts.items():
            metrics.ALERTS.labels(state).inc(number)

    if counts:
        event.listen(connection.sync_connection, "commit", count, once=True)
