"""One batch, one transaction: fence, fold, score, alert, store dead letters, remember the events."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from consumers.fold.batch import Batch, OwnedPartition
from consumers.fold.dead_letter_limit import recent
from service.evaluation.evaluate import EvaluationOutcome, Inputs, advance_accounts
from service.evaluation.policy import PolicyCache
from service.storage.database.retry import took_too_long, trouble
from service.storage.ingest import dead_letters, progress, refused_timestamps, seen_events
from service.storage.ingest.progress import Partition
from service.storage.ingest.seen_events import SegmentRow


class FencedError(Exception):
    """Raised when another process has claimed partitions of the batch; nothing of the batch was written."""

    def __init__(self, partitions: set[Partition]) -> None:
        super().__init__(f"claimed by another process: {sorted(partitions)}")
        self.partitions = partitions


class TooLongError(Exception):
    """Raised when Postgres gave up on a batch because it took too long, so that a smaller one may succeed; nothing of
    it was written.
    """


async def apply(
    engine: AsyncEngine,
    batch: Batch,
    policies: PolicyCache,
    now: datetime,
    base_url: str,
    traces: Mapping[str, str] | None = None,
) -> EvaluationOutcome:
    """Write the batch in one transaction, unless an earlier attempt did and its reply was lost.

    `traces` has, by account, the trace context for its alerts. Raises `FencedError` if a partition is no longer ours,
    and `TooLongError`.
    """
    started = time.perf_counter()
    async with engine.begin() as connection, _too_long():
        if lost := await progress.advance(connection, batch.moves):
            # An earlier attempt moved all of them or none; if any moves only now, there was none.
            if lost == batch.moves.keys() and await progress.was_applied(connection, batch.moves):
                return EvaluationOutcome()
            raise FencedError(lost)
        policy = await policies.in_force(connection)
        await _remember(batch, connection)
        fenced = time.perf_counter()
        inputs = Inputs(batch.events, batch.backfill, traces=traces or {})
        outcome = await advance_accounts(connection, inputs, policy, now, base_url=base_url)
        await dead_letters.insert(connection, batch.dead_letters)
        await refused_timestamps.insert(connection, batch.ahead)
        written = time.perf_counter()
    outcome.stopwatch.add("fence", fenced - started)
    outcome.stopwatch.add("commit", time.perf_counter() - written)
    return outcome


@asynccontextmanager
async def _too_long() -> AsyncIterator[None]:
    """Raise `TooLongError` for what takes too long within: not a connection, which needs waiting, and not the commit,
    which may have been done.
    """
    try:
        yield
    except Exception as error:
        if took_too_long(error):
            raise TooLongError(trouble(error)) from error
        raise


async def _remember(batch: Batch, connection: AsyncConnection) -> None:
    gone = [(*partition, offset) for partition, change in batch.changes.items() for offset in change.gone]
    added = [
        SegmentRow(*partition, change.added.last_offset, change.added.newest_at, change.added.hashes.tobytes())
        for partition, change in batch.changes.items()
    ]
    await seen_events.replace(connection, gone, added)


def refused_offsets(batch: Batch, owned: Mapping[Partition, OwnedPartition]) -> dict[Partition, list[int]]:
    """The offsets of recent dead letters per partition of the batch, including the batch's own.

    Leaves out partitions that have halted since because their next records can't be read.
    """
    refused = {partition: list(owned[partition].refused) for partition in batch.moves if partition in owned}
    for letter in batch.dead_letters:
        if (found := refused.get((letter.topic, letter.partition))) is not None:
            found.append(letter.offset)
    return refused


def update_owned(batch: Batch, owned: Mapping[Partition, OwnedPartition]) -> None:
    """Bring claims and deduplicators up to date with the database, after the commit."""
    for partition, refused in refused_offsets(batch, owned).items():
        mine, move = owned[partition], batch.moves[partition]
        mine.claim = move.after
        mine.refused = recent(refused, move.next_offset)
        if partition in batch.changes:
            mine.dedup.apply(batch.changes[partition])
