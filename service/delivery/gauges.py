"""What operators see of deliveries that wait: for how long, and which endpoints are left alone."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncEngine

from service.delivery.targets import TARGETS
from service.metrics import DELIVERY_OPEN_BREAKERS, DELIVERY_QUEUE_AGE_SECONDS
from service.storage import delivery_log


def show_breakers(open_targets: Iterable[str]) -> None:
    """Show how many breakers are open, given the target of each endpoint that has one."""
    counts = Counter(open_targets)
    for target in TARGETS:
        DELIVERY_OPEN_BREAKERS.labels(target).set(counts[target])


async def show_queue(engine: AsyncEngine, now: datetime) -> None:
    """Show for how long deliveries that are due have waited, whoever is to send them."""
    async with engine.connect() as connection:
        waited = await delivery_log.longest_due(connection, now)
    for target in TARGETS:
        DELIVERY_QUEUE_AGE_SECONDS.labels(target).set(waited.get(target, 0.0))
