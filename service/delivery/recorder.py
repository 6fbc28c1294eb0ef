"""Records the results of attempts, for deliveries and endpoints: many in one transaction, as a commit costs more
than its content.
"""

import asyncio
import time
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from service.alerts import operator_notices
from service.delivery import endpoint_health
from service.delivery.endpoint_health import EndedAttempt
from service.delivery.set_aside import SetAside
from service.runtime.batch_size import BatchSize
from service.storage.database.errors import is_poison
from service.storage.database.retry import is_transient, sqlstate, took_too_long, trouble
from service.storage.webhooks import delivery_results
from service.storage.webhooks.delivery_results import DeliveryState

log = structlog.get_logger(__name__)

MOST_AT_ONCE = 500
RETRY_SECONDS = 0.5


_Waiting = tuple[EndedAttempt, "asyncio.Future[bool]"]


class Recorder:
    """Batches results that arrive while a transaction is under way into the next one. Use it from one event loop."""

    def __init__(self, engine: AsyncEngine, base_url: str) -> None:
        """Uses connections of `engine`, one at a time; `base_url` starts links in notices to operators."""
        self._engine = engine
        self._base_url = base_url
        self.set_aside = SetAside(engine)
        self._waiting: list[_Waiting] = []
        self._size = BatchSize(MOST_AT_ONCE)
        self._task: asyncio.Task[None] | None = None

    async def record(self, ended: EndedAttempt) -> bool:
        """Record a result; False if the lease was lost, or ended while Postgres was unavailable."""
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((ended, written))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write_all())
        return await written

    async def _write_all(self) -> None:
        while self._waiting:
            most = self._size.limit
            batch, self._waiting = self._waiting[:most], self._waiting[most:]
            await self._write(batch)

    async def _write(self, batch: Sequence[_Waiting]) -> None:
        """Write some results; those that can't be written now are queued with the newly arrived."""
        started = time.monotonic()
        try:
            written = await self._record([ended for ended, _ in batch], datetime.now(UTC))
        except Exception as error:  # noqa: BLE001 - results that can't be written must not stop the others
            self._warn(batch, error)
            if took_too_long(error) and len(batch) > 1:
                self._size.given_up(len(batch))
                self._requeue(batch)
            elif is_transient(error):
                self._requeue(batch, at_end=took_too_long(error))
                await asyncio.sleep(RETRY_SECONDS if self._waiting else 0)
            elif len(batch) > 1:
                for each in batch:
                    await self._write([each])
            else:
                await self._write_alone(batch[0], error)
        else:
            self._size.done(len(batch), time.monotonic() - started, len(self._waiting))
            _resolve(batch, written)

    async def _record(self, batch: Sequence[EndedAttempt], now: datetime) -> set[UUID]:
        async with self._engine.begin() as connection:
            # Endpoints before deliveries, the order in which deleting an endpoint locks them.
            notices = await endpoint_health.record_attempts(connection, batch, now, self._base_url)
            written = await delivery_results.record(connection, [each.attempted for each in batch], now)
        for notice in notices:
            operator_notices.log_endpoint_notice(notice)
        return written

    async def _write_alone(self, one: _Waiting, error: Exception) -> None:
        """Write one result without its effect on its endpoint; if even that fails, end its delivery, which would
        otherwise be sent again at each end of its lease.
        """
        attempted = one[0].attempted
        written: AbstractSet[UUID] = frozenset()
        if is_poison(error):
            try:
                async with self._engine.begin() as connection:
                    written = await delivery_results.record(connection, [attempted], datetime.now(UTC))
            except Exception as again:  # noqa: BLE001 - as above
                await self._finish(one, again)
        _resolve([one], written)

    async def _finish(self, one: _Waiting, error: Exception) -> None:
        attempted = one[0].attempted
        state: DeliveryState = "failed" if attempted.state == "pending" else attempted.state
        try:
            if is_poison(error):
                await self.set_aside.finish(attempted.delivery.id, state, "recording", error)
        except Exception as again:  # noqa: BLE001 - as above
            self._warn([one], again)

    def _requeue(self, batch: Sequence[_Waiting], *, at_end: bool = False) -> None:
        """Queue those whose lease still holds again, before the newly arrived or `at_end`."""
        now = datetime.now(UTC)
        _resolve([each for each in batch if now >= each[0].delivery.leased_until], set())
        leased = [each for each in batch if now < each[0].delivery.leased_until]
        self._waiting = self._waiting + leased if at_end else leased + self._waiting

    def _warn(self, batch: Sequence[_Waiting], error: Exception) -> None:
        # Not the error's text: it may contain the values to be written.
        first = batch[0][0].delivery
        log.warning(
            "delivery_not_recorded",
            delivery=str(first.id),
            others=len(batch) - 1,
            reason=trouble(error) or "Postgres refuses the values to be written",
            error=type(error).__name__,
            sqlstate=sqlstate(error),
        )


def _resolve(batch: Sequence[_Waiting], written: AbstractSet[UUID]) -> None:
    for ended, answer in batch:
        if not answer.done():  # the caller may have been cancelled
            answer.set_result(ended.delivery.id in written)
