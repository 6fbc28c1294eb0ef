"""Writes batches; one that fails is bisected until the record at fault is found."""

import time
from collections.abc import Callable
from functools import partial
from secrets import token_hex

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from consumers.fold import batch_tracing
from consumers.fold.apply import FencedError, TooLongError, apply, refused_offsets, update_owned
from consumers.fold.batch import Batch, prepare
from consumers.fold.buffer import PartitionBuffer, PartitionBuffers, bisect, record_count
from consumers.fold.dead_letter_limit import Limits, too_many
from consumers.fold.decode import Refusal
from consumers.fold.kafka import GoneError, fetch
from consumers.fold.ownership import Ownership
from consumers.fold.version_trial import VersionTrial
from service.evaluation.evaluate import EvaluationOutcome
from service.evaluation.policy import PolicyCache
from service.observability import metrics
from service.observability.probes import Pulse
from service.runtime.settings import Settings
from service.runtime.tasks import to_thread_uncancelled
from service.storage.database.clock_check import OneClock
from service.storage.database.errors import is_poison, poison_reason
from service.storage.database.retry import retry_while_transient
from service.storage.ingest.progress import OffsetMove, Partition

log = structlog.get_logger(__name__)

INLINE_RECORDS = 2_000
"""The most records that are prepared in the event loop; these take a few milliseconds."""


class Folder:
    """Writes batches of owned partitions, one transaction each."""

    def __init__(
        self,
        engine: AsyncEngine,
        ownership: Ownership,
        settings: Settings,
        pulse: Pulse,
        clock: OneClock,
        on_fold: Callable[[dict[Partition, OffsetMove]], None],
    ) -> None:
        """`on_fold` is called with the new offsets of partitions after each commit."""
        self._engine = engine
        self._ownership = ownership
        self._settings = settings
        self._pulse = pulse
        self._clock = clock
        self._on_fold = on_fold
        self._policies = PolicyCache(settings.retention_days, time.monotonic)
        self._trial = VersionTrial(engine, settings, self._policies, pulse)
        self._limits = Limits(settings.dead_letter_max_run, settings.dead_letter_max_share)

    async def fold(self, buffers: PartitionBuffers) -> None:
        """Write all records of partitions that are ours; the caller holds `ownership.writing`.

        If this version refuses too many records of a partition, that partition halts before any of them is written.
        Raises `TooLongError` if it takes too long for more than one record; what was written by then is left out when
        the rest is tried again.
        """
        with structlog.contextvars.bound_contextvars(batch_id=token_hex(4)):
            await self._fold(buffers)

    async def _fold(self, buffers: PartitionBuffers) -> None:
        while True:
            started = time.perf_counter()
            batch = await self._prepare(buffers)
            prepared = time.perf_counter() - started
            if not batch.moves:
                return
            if await self._halt_refusing(batch):
                continue
            try:
                with batch_tracing.batch_spans(buffers, batch) as contexts:
                    outcome = await retry_while_transient(
                        partial(self._apply, batch, contexts),
                        "folding a batch",
                        self._pulse.beat,
                    )
            except TooLongError:
                raise
            except FencedError as fenced:
                self._ownership.give_up(fenced.partitions)
            except Exception as error:
                if not is_poison(error):
                    raise
                await self._isolate(buffers, batch, error)
                return
            else:
                update_owned(batch, self._ownership.owned)
                self._on_fold(batch.moves)
                outcome.stopwatch.add("prepare", prepared)
                _observe(batch, outcome, time.perf_counter() - started, time.time())
                return

    async def _prepare(self, buffers: PartitionBuffers) -> Batch:
        """Prepare a batch; a large one in a thread, so that heartbeats go out meanwhile."""
        work = partial(prepare, buffers, self._ownership.owned, self._settings.retention_days)
        return await to_thread_uncancelled(work) if record_count(buffers) > INLINE_RECORDS else work()

    async def _apply(self, batch: Batch, contexts: batch_tracing.Contexts) -> EvaluationOutcome:
        now = self._clock.now()
        try:
            return await apply(self._engine, batch, self._policies, now, self._settings.base_url, contexts)
        except TooLongError as error:
            if batch.records == 1 and error.__cause__ is not None:
                raise error.__cause__ from None  # it can't be made smaller, only be tried again
            raise

    async def _isolate(self, buffers: PartitionBuffers, batch: Batch, error: Exception) -> None:
        """Fold the two halves of a batch that can't be folded, or refuse it if it is a single record."""
        log.warning("batch_fails", records=batch.records, reason=poison_reason(error), exc_info=batch.records == 1)
        self._pulse.beat()
        if batch.records > 1:
            for half in bisect(buffers):
                await self.fold(half)
            return
        [(partition, move)] = batch.moves.items()
        offset = move.next_offset - 1
        if batch.dead_letters:
            self._ownership.halt(partition, f"the record at offset {offset} can't be kept as a dead letter: {error}")
            return
        try:
            record = await fetch(self._settings, partition, offset, self._pulse)
        except GoneError:
            why = f"the record at offset {offset} can't be folded, and is no longer in the log: {poison_reason(error)}"
            self._ownership.halt(partition, why)
            return
        refused = PartitionBuffer()
        refused.add([record], [Refusal(record, poison_reason(error))])
        await self.fold({partition: refused})

    async def _halt_refusing(self, batch: Batch) -> bool:
        """Halt the partitions of which this version refuses too much; returns True if there were any."""
        if not batch.dead_letters:
            return False
        halted = False
        for partition, refused in refused_offsets(batch, self._ownership.owned).items():
            if not (why := too_many(refused, self._limits)):
                continue
            why += f"; last reason: {_last_reason(batch, partition)}"
            signal, before = self._ownership.owned[partition].signal, self._ownership.folded_before[partition]
            if evidence := await self._trial.evidence(partition, signal, before, why):
                self._ownership.halt(partition, f"{evidence}: roll it back; {why}")
                halted = True
        return halted


def _observe(batch: Batch, outcome: EvaluationOutcome, seconds: float, now: float) -> None:
    """Record in metrics and the log a batch that took `seconds` and was committed at `now`, in seconds since 1970."""
    metrics.BATCH_SECONDS.observe(seconds)
    metrics.BATCH_RECORDS.observe(batch.records)
    for phase, took in outcome.stopwatch.seconds.items():
        metrics.BATCH_PHASE_SECONDS.labels(phase).observe(took)
    for (topic, result), count in batch.outcomes.items():
        metrics.EVENTS.labels(topic, result).inc(count)
    for (topic, _), taken_ms in batch.taken_ms.items():
        metrics.RECORD_LAG_SECONDS.observe(topic, now - taken_ms / 1_000)
    for (topic, _), happened in batch.happened.items():
        metrics.EVENT_LAG_SECONDS.observe(topic, now - happened / 1_000_000)
    log.debug(
        "batch_folded",
        records=batch.records,
        accounts=outcome.accounts,
        late=outcome.late,
        alerts=outcome.alerts,
        dead_letters=len(batch.dead_letters),
        seconds=round(seconds, 3),
    )


def _last_reason(batch: Batch, partition: Partition) -> str:
    return next(
        (each.reason for each in reversed(batch.dead_letters) if (each.topic, each.partition) == partition), "none"
    )
