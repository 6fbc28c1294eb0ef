"""Claims deliveries through failures: waits while Postgres is away, and isolates a delivery that can't be claimed."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from service.delivery.claim import UnclaimableError, claim
from service.delivery.concurrency import UNPROVEN, Slots
from service.delivery.set_aside import SetAside
from service.observability.probes import Pulse
from service.runtime.batch_size import BatchSize
from service.storage.database.retry import is_transient, sqlstate, took_too_long, trouble
from service.storage.webhooks import outbox
from service.storage.webhooks.outbox import ClaimedDelivery, SendingLimits
from service.targets import COALESCED

log = structlog.get_logger(__name__)

LONGEST_OUTAGE_PAUSE_SECONDS = 5.0
MOST_IN_A_ROW = 100
"""After this many unclaimable deliveries in a row, the version or the schema is to blame, not the deliveries."""


class Claimer:
    """Claims for one process, within the room that its slots have."""

    def __init__(
        self,
        engine: AsyncEngine,
        slots: Slots,
        set_aside: SetAside,
        lease_seconds: float,
        poll_seconds: float,
        pulse: Pulse,
        retry_at_once: Callable[[], None],
    ) -> None:
        """`poll_seconds` is the first pause in an outage; `retry_at_once` is called if the next claim need not wait."""
        self.any_limited = True
        """True if any endpoint has a rate limit; an endpoint with a new one gets nothing before this is set again."""
        self.outage_pause = 0.0
        """The seconds to wait before the next claim; 0 unless the last one failed."""
        self._engine = engine
        self._slots = slots
        self._set_aside = set_aside
        self._lease_seconds = lease_seconds
        self._poll_seconds = poll_seconds
        self._pulse = pulse
        self._retry_at_once = retry_at_once
        self._size = BatchSize(slots.total)
        self._set_aside_in_a_row = 0

    async def claim(self, most: int) -> list[ClaimedDelivery]:
        """Claim up to `most` deliveries; none if that fails. Raises any failure that neither waiting nor setting
        deliveries aside can end.
        """
        limit = min(most, self._size.limit)
        started = time.monotonic()
        try:
            async with self._engine.begin() as connection:
                claimed = await claim(connection, limit, datetime.now(UTC), self._lease_seconds, self._limits())
        except UnclaimableError as error:
            await self._isolate_failure(limit, error)
            return []
        except Exception as error:
            if not is_transient(error):
                raise
            self._back_off(error, limit)
            return []
        self._pulse.beat()
        self.outage_pause = 0.0
        self._size.done(len(claimed), time.monotonic() - started)
        if claimed:
            self._set_aside_in_a_row = 0
        return claimed

    def _limits(self) -> SendingLimits:
        return SendingLimits(
            room=self._slots.room(time.monotonic()),
            default_room=UNPROVEN,
            include_rate_limited=self.any_limited,
            coalesced=COALESCED,
            without=self._set_aside.passed_over,
        )

    def _back_off(self, error: Exception, limit: int) -> None:
        """Pause before the next claim; only briefly if claiming took too long, as fewer will be quicker."""
        self.outage_pause = min(self.outage_pause * 2 or self._poll_seconds, LONGEST_OUTAGE_PAUSE_SECONDS)
        if took_too_long(error) and limit > 1:
            self._size.given_up(limit)
            self.outage_pause = self._poll_seconds
        # Not the error's text: SQLAlchemy includes a statement's parameters in it.
        log.warning(
            "deliveries_not_claimed",
            reason=trouble(error),
            error=type(error).__name__,
            sqlstate=sqlstate(error),
            retry_seconds=self.outage_pause,
        )
        self._pulse.beat(trouble(error))

    async def _isolate_failure(self, limit: int, error: UnclaimableError) -> None:
        """Claim fewer, until the delivery at fault is isolated, and end that one."""
        self._pulse.beat()
        self.outage_pause = 0.0
        self._retry_at_once()
        if limit > 1:
            self._size.given_up(limit)
            return
        self._set_aside_in_a_row += 1
        if self._set_aside_in_a_row > MOST_IN_A_ROW:
            raise error
        try:
            async with self._engine.begin() as connection:
                found = await outbox.lock_first(connection, datetime.now(UTC), error.limits)
            if found is not None:
                await self._set_aside.finish(found, "failed", "claiming", error.__cause__ or error)
        except Exception as again:
            if not is_transient(again):
                raise
            self._back_off(again, limit)
