"""Finds out whether this version is at fault for many refused records, by trying it on records accepted before it.

A sender decides the content of its events, and must not be able to stop a partition with them. A bad deploy is
different: it refuses records that the version before accepted. So the trial uses exactly those records.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from consumers.fold import timestamps
from consumers.fold.decode import Refusal, Tombstone, decode
from consumers.fold.kafka import fetch_range
from scoring.state.events import Event
from service.evaluation.evaluate import Inputs, advance_accounts
from service.evaluation.policy import PolicyCache
from service.observability.probes import Pulse
from service.runtime.settings import Settings, Signal
from service.storage.database.errors import is_poison
from service.storage.database.retry import retry_while_transient
from service.storage.ingest import dead_letters
from service.storage.ingest.progress import Partition

log = structlog.get_logger(__name__)
Result = TypeVar("Result")

SAMPLE = 200
"""Records that are tried: the last that were accepted before this process claimed the partition."""
GOOD_FOR_SECONDS = 300.0
"""The time that a verdict holds. Code doesn't change while it runs, but scorecards and stored data do."""


class VersionTrial:
    """Tries partitions, each at most once every few minutes."""

    def __init__(
        self,
        engine: AsyncEngine,
        settings: Settings,
        policies: PolicyCache,
        pulse: Pulse,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` is monotonic, in seconds."""
        self._engine = engine
        self._settings = settings
        self._policies = policies
        self._pulse = pulse
        self._clock = clock
        self._cleared_at: dict[Partition, float] = {}

    async def evidence(self, partition: Partition, signal: Signal, folded_before: int, why: str) -> str | None:
        """The evidence that this version is at fault; None if there is none, and then `why` it was tried is logged.

        `folded_before` is the offset up to which others have folded the partition. If none of those records is left,
        nothing accepted earlier could be refused now.
        """
        now = self._clock()
        if now - self._cleared_at.get(partition, -GOOD_FOR_SECONDS) < GOOD_FOR_SECONDS:
            return None
        found = await self._try(partition, signal, folded_before)
        if found is None:
            self._cleared_at[partition] = now
            topic, number = partition
            log.warning(
                "many_refused", topic=topic, partition=number, why=why, remedy="account-health dead-letters list"
            )
        return found

    async def _try(self, partition: Partition, signal: Signal, folded_before: int) -> str | None:
        stop, refused_before = await self._persistently(
            lambda connection: dead_letters.refused_before(connection, partition, folded_before, SAMPLE),
            "looking for a sample",
        )
        records = await fetch_range(self._settings, partition, stop - SAMPLE, stop, self._pulse)
        latest = timestamps.latest(time.time())  # a clock that is far behind is as bad as a faulty version
        decoded = [
            decode(signal, record, self._settings.max_record_bytes, latest)
            for record in records
            if record.offset not in refused_before
        ]
        tried = [each for each in decoded if not isinstance(each, Tombstone)]
        events = [each.event for each in tried if not isinstance(each, Refusal)]
        lost = len(tried) - len(events) + await self._unfoldable(events)
        if lost <= self._settings.dead_letter_max_share * len(tried):
            return None
        return (
            f"this version refuses {lost} of {len(tried)} records that were accepted before it, up to offset {stop - 1}"
        )

    async def _unfoldable(self, events: Sequence[Event]) -> int:
        """The number of events that can't be folded, found by bisection if they can't all be; nothing is kept."""
        self._pulse.beat()
        try:
            await self._persistently(partial(self._fold, events), "folding records accepted before")
        except Exception as error:
            if not is_poison(error):
                raise
            if len(events) == 1:
                return 1
            middle = len(events) // 2
            return await self._unfoldable(events[:middle]) + await self._unfoldable(events[middle:])
        return 0

    async def _fold(self, events: Sequence[Event], connection: AsyncConnection) -> None:
        by_account: dict[str, list[Event]] = {}
        for event in events:
            by_account.setdefault(event.account_id, []).append(event)
        policy = await self._policies.in_force(connection)
        await advance_accounts(
            connection, Inputs(by_account), policy, datetime.now(UTC), base_url=self._settings.base_url
        )

    async def _persistently(self, work: Callable[[AsyncConnection], Awaitable[Result]], doing: str) -> Result:
        """Do `work` in a transaction that is rolled back, as soon as Postgres is available."""

        async def attempt() -> Result:
            async with self._engine.connect() as connection:
                try:
                    return await work(connection)
                finally:
                    await connection.rollback()

        return await retry_while_transient(attempt, doing, self._pulse.beat)
