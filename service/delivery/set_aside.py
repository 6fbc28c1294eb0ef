"""Ends deliveries whose content makes them impossible to claim or record, so that the others go on."""

import time
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from service.observability.metrics import DELIVERIES_SET_ASIDE
from service.storage.database.errors import is_poison
from service.storage.webhooks import delivery_results
from service.storage.webhooks.delivery_results import DeliveryState

log = structlog.get_logger(__name__)

PASSED_OVER_SECONDS = 3600.0
"""The seconds before one that can't even be ended is tried again; a fix may be deployed by then."""


class SetAside:
    """Ends deliveries that can't be processed, and remembers those that can't be ended either."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Uses connections of `engine`, one at a time."""
        self._engine = engine
        self._passed_over: dict[UUID, float] = {}

    @property
    def passed_over(self) -> Collection[UUID]:
        """The deliveries that this process must not claim now."""
        now = time.monotonic()
        self._passed_over = {delivery: until for delivery, until in self._passed_over.items() if until > now}
        return self._passed_over.keys()

    async def finish(
        self, delivery: UUID, state: DeliveryState, doing: Literal["claiming", "recording"], error: BaseException
    ) -> bool:
        """End a delivery that fails with `error`; returns False if that fails too and it is skipped from now on.
        Raises transient errors.
        """
        is_ended = True
        try:
            async with self._engine.begin() as connection:
                await delivery_results.finish(connection, delivery, state, datetime.now(UTC))
        except Exception as again:
            if not is_poison(again):
                raise
            self._passed_over[delivery] = time.monotonic() + PASSED_OVER_SECONDS
            is_ended = False
        DELIVERIES_SET_ASIDE.labels(doing).inc()
        # Not the error's text: it may contain the values to be written.
        log.error(
            "delivery_set_aside",
            delivery=str(delivery),
            doing=doing,
            state=state if is_ended else "pending",
            error=type(error).__name__,
            remedy="Fix its stored data, then send it again: POST /v1/deliveries/ID/resend",
        )
        return is_ended
