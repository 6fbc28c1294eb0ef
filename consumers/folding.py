"""What was taken from the topics is written, whatever is in it: batches that fail are halved down to the culprit."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from secrets import token_hex

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers import traces
from consumers.apply import FencedError, apply, refused_by, settle
from consumers.batch import Batch, prepare
from consumers.decode import Refused
from consumers.fetching import fetch
from consumers.observing import observe
from consumers.ownership import Ownership
from consumers.poison import blame, is_poison
from consumers.refusals import Limits, too_many
from consumers.taken import Stretch, Taken, halves
from service.errors import HealthError
from service.evaluation import Outcome
from service.policy import PolicyCache
from service.probes import Pulse
from service.settings import Settings
from service.storage.progress import Move, Partition
from service.storage.transient import persistently

log = structlog.get_logger(__name__)


class Folder:
    """Writes batches, one transaction each, as their owner."""

    def __init__(
        self,
        engine: AsyncEngine,
        ownership: Ownership,
        settings: Settings,
        pulse: Pulse,
        on_fold: Callable[[dict[Partition, Move]], None],
    ) -> None:
        """`on_fold` is told how far partitions were folded."""
        self._engine = engine
        self._ownership = ownership
        self._settings = settings
        self._pulse = pulse
        self._on_fold = on_fold
        self._policies = PolicyCache(settings.retention_days, time.monotonic)
        self._limits = Limits(settings.dead_letter_max_run, settings.dead_letter_max_share)

    async def fold(self, taken: Taken) -> None:
        """Write all of it that is ours; the caller holds `ownership.writing`.

        Raises `HealthError` if too much is refused, before anything of that is written.
        """
        with structlog.contextvars.bound_contextvars(batch_id=token_hex(4)):
            await self._fold(taken)

    async def _fold(self, taken: Taken) -> None:
        while True:
            started = time.perf_counter()
            batch = prepare(taken, self._ownership.owned, self._settings.retention_days)
            prepared = time.perf_counter() - started
            if not batch.moves:
                return
            self._refuse_too_many(batch)
            try:
                with traces.folding(taken, batch) as contexts:
                    outcome = await persistently(
                        partial(self._apply, batch, contexts),
                        "folding a batch",
                        self._pulse.beat,
                    )
            except FencedError as fenced:
                self._ownership.give_up(fenced.partitions)
            except Exception as error:
                if not is_poison(error):
                    raise
                await self._isolate(taken, batch, error)
                return
            else:
                settle(batch, self._ownership.owned)
                self._on_fold(batch.moves)
                outcome.stopwatch.add("prepare", prepared)
                observe(batch, outcome, time.perf_counter() - started, time.time())
                return

    async def _apply(self, batch: Batch, contexts: traces.Contexts) -> Outcome:
        return await apply(self._engine, batch, self._policies, datetime.now(UTC), self._settings.base_url, contexts)

    async def _isolate(self, taken: Taken, batch: Batch, error: Exception) -> None:
        """Fold the two halves of a batch that can't be folded; if it is a single record, that is refused."""
        log.warning("batch_fails", records=batch.records, reason=blame(error), exc_info=batch.records == 1)
        self._pulse.beat()
        if batch.records > 1:
            for half in halves(taken):
                await self.fold(half)
            return
        if batch.dead_letters:
            raise error  # it is refused already, and that can't be written either
        [(partition, move)] = batch.moves.items()
        record = await fetch(self._settings, partition, move.next_offset - 1, self._pulse)
        refused = Stretch()
        refused.add([record], [Refused(record, blame(error))])
        await self.fold({partition: refused})

    def _refuse_too_many(self, batch: Batch) -> None:
        if not batch.dead_letters:
            return
        for (topic, partition), refused in refused_by(batch, self._ownership.owned).items():
            if why := too_many(refused, self._limits):
                raise HealthError(
                    f"Stopped at {topic} partition {partition}: {why}. Last reason: {batch.dead_letters[-1].reason}",
                    "See account-health dead-letters list. If a new version is to blame, roll back; if the records are,"
                    " go past them with account-health progress set, or raise HEALTH_DEAD_LETTER_MAX_RUN and"
                    " HEALTH_DEAD_LETTER_MAX_SHARE",
                )
