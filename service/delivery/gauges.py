"""Gauges of waiting deliveries and of endpoint states."""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from service.observability.metrics import DELIVERY_ENDPOINTS, DELIVERY_OPEN_BREAKERS, DELIVERY_QUEUE_AGE_SECONDS
from service.storage.webhooks import delivery_log, endpoints
from service.storage.webhooks.endpoints import EndpointStatus
from service.targets import TARGETS

STATES = ("ok", "failing", "disabled", "disabled_failing", "disabled_gone")


async def refresh_gauges(engine: AsyncEngine, now: datetime) -> Sequence[EndpointStatus]:
    """Update the gauges of overdue deliveries and endpoint states; returns the endpoint states."""
    async with engine.connect() as connection:
        waited = await delivery_log.longest_due(connection, now)
        found = await endpoints.statuses(connection)
    counts = Counter((each.target, state_of(each)) for each in found)
    for target in TARGETS:
        DELIVERY_QUEUE_AGE_SECONDS.labels(target).set(waited.get(target, 0.0))
        for state in STATES:
            DELIVERY_ENDPOINTS.labels(target, state).set(counts[target, state])
    return found


def state_of(endpoint: EndpointStatus) -> str:
    """One of `STATES`."""
    if endpoint.enabled:
        return "failing" if endpoint.is_failing else "ok"
    return f"disabled_{endpoint.disabled_reason}" if endpoint.disabled_reason else "disabled"


def show_breakers(open_targets: Iterable[str]) -> None:
    """Set the gauge of open breakers, given the target of each endpoint that has one."""
    counts = Counter(open_targets)
    for target in TARGETS:
        DELIVERY_OPEN_BREAKERS.labels(target).set(counts[target])
