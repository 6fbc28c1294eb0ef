"""Turns buffered records into a batch: no duplicates, grouped by account. Pure, except for the deduplicators it
reads.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import compress
from typing import NamedTuple, cast

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from consumers.fold import timestamps
from consumers.fold.buffer import PartitionBuffer, PartitionBuffers
from consumers.fold.decode import dead_letter
from consumers.fold.dedup import DedupChange, Deduplicator, Hashes
from scoring.state.calendar import MICROSECONDS_PER_DAY
from scoring.state.events import Event
from service.runtime.settings import Signal
from service.storage.ingest.dead_letters import DeadLetterRow
from service.storage.ingest.progress import OffsetMove, Partition, PartitionClaim
from service.storage.ingest.refused_timestamps import RefusedTimestamp


class OwnedPartition(Struct):
    """A partition that this process has claimed: how far it was folded, and the events it remembers."""

    signal: Signal
    claim: PartitionClaim
    dedup: Deduplicator
    refused: list[int] = field(default_factory=list)
    """Offsets of the dead letters among the most recent records."""
    decided: timestamps.Decided = frozenset()
    """Upcoming records that were refused for their timestamps when the log was read before."""
    position: int = 0
    """The next offset to poll."""
    unverified: int | None = None
    """The fingerprint expected of the record before the next offset, until it has been checked."""


Moments = NDArray[np.int64]
_MILLISECONDS_PER_DAY = MICROSECONDS_PER_DAY // 1000


class Batch(Struct):
    """The work of one transaction."""

    moves: dict[Partition, OffsetMove] = field(default_factory=dict)
    changes: dict[Partition, DedupChange] = field(default_factory=dict)
    events: dict[str, list[Event]] = field(default_factory=dict)
    backfill: set[str] = field(default_factory=set)
    """Accounts whose events are all loaded history."""
    dead_letters: list[DeadLetterRow] = field(default_factory=list)
    ahead: list[RefusedTimestamp] = field(default_factory=list)
    """The dead letters that a later clock would accept."""
    records: int = 0
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Records per topic and outcome: folded, duplicate, late, dead letter or tombstone. Each record counts once."""
    taken_ms: dict[Partition, Moments] = field(default_factory=dict)
    """Broker timestamps in milliseconds, without those of tombstones and those that are refused."""
    happened: dict[Partition, Moments] = field(default_factory=dict)
    """Times of the folded events in microseconds, without loaded history."""


def prepare(buffers: PartitionBuffers, owned: Mapping[Partition, OwnedPartition], retention: int) -> Batch:
    """Make a batch, leaving out partitions that aren't owned and records that were already folded.

    Events older than `retention` days count as late. They stay in the batch, because the fold makes the final decision.
    """
    batch = Batch()
    for partition, buffer in buffers.items():
        mine = owned.get(partition)
        if mine is None:
            continue
        folded = bisect_left(buffer.offsets, mine.claim.next_offset)
        if folded < len(buffer.offsets):
            _add(batch, partition, mine, buffer, folded, retention)
    return batch


def _add(
    batch: Batch, partition: Partition, mine: OwnedPartition, buffer: PartitionBuffer, start: int, retention: int
) -> None:
    offsets = buffer.offsets[start:]
    refused = [buffer.refused[offset] for offset in offsets if offset in buffer.refused] if buffer.refused else []
    tombstones = len(buffer.tombstones.intersection(offsets)) if buffer.tombstones else 0
    batch.moves[partition] = OffsetMove(mine.claim, offsets[-1] + 1, buffer.fingerprint)
    batch.records += len(offsets)
    batch.dead_letters += map(dead_letter, refused)
    batch.outcomes[partition[0], "dead_letter"] += len(refused)
    batch.outcomes[partition[0], "tombstone"] += tombstones
    columns = _columns(buffer, start)
    batch.taken_ms[partition] = columns.taken_ms
    if refused or tombstones:
        batch.taken_ms[partition] = columns.taken_ms[columns.taken_ms != timestamps.NO_TIME]
        batch.ahead += [
            RefusedTimestamp(*partition, each.record.offset, each.record.timestamp)
            for each in refused
            if not each.stamped and timestamps.is_time(each.record.timestamp)
        ]
        columns = columns.where(np.array([event is not None for event in columns.events], dtype=np.bool_))
    if not columns.events:
        return
    fresh = mine.dedup.fresh(columns.identities)
    _count(batch, partition, columns, fresh, retention)
    if not fresh.all():
        columns = columns.where(fresh)
    if columns.events:
        newest_at = timestamps.moment(int(columns.taken_ms.max()))
        batch.changes[partition] = mine.dedup.plan(columns.identities, offsets[-1], newest_at)
        _group(batch, cast(Sequence[Event], columns.events), columns.backfill.tolist())


class _Columns(NamedTuple):
    """The columns of a partition's records that a batch reads."""

    events: Sequence[Event | None]
    identities: Hashes
    taken_ms: Moments
    happened: Moments
    backfill: NDArray[np.bool_]

    def where(self, chosen: NDArray[np.bool_]) -> "_Columns":
        """The chosen records alone."""
        return _Columns(
            list(compress(self.events, chosen.tolist())),
            self.identities[chosen],
            self.taken_ms[chosen],
            self.happened[chosen],
            self.backfill[chosen],
        )


def _columns(buffer: PartitionBuffer, start: int) -> _Columns:
    return _Columns(
        buffer.events[start:] if start else buffer.events,
        np.frombuffer(buffer.identities, np.uint64)[start:],
        np.frombuffer(buffer.taken_ms, np.int64)[start:],
        np.frombuffer(buffer.happened, np.int64)[start:],
        np.frombuffer(buffer.backfill, np.bool_)[start:],
    )


def _group(batch: Batch, fresh: Sequence[Event], flags: Sequence[bool]) -> None:
    """Group events by account, and collect the accounts that have only loaded history."""
    events, backfill = batch.events, batch.backfill
    for event, is_backfill in zip(fresh, flags, strict=True):
        account_id = event.account_id
        others = events.get(account_id)
        if others is None:
            events[account_id] = [event]
            if is_backfill:
                backfill.add(account_id)
        else:
            others.append(event)
            if backfill and not is_backfill:
                backfill.discard(account_id)


def _count(batch: Batch, partition: Partition, columns: _Columns, fresh: NDArray[np.bool_], retention: int) -> None:
    """Count the outcome of each event, as `account_state.fold` will decide it, and collect the times of new ones."""
    happened = columns.happened
    late = fresh & (happened // MICROSECONDS_PER_DAY <= columns.taken_ms // _MILLISECONDS_PER_DAY - retention)
    new, too_late = int(fresh.sum()), int(late.sum())
    batch.happened[partition] = happened[fresh & ~late & ~columns.backfill]
    batch.outcomes[partition[0], "folded"] += new - too_late
    batch.outcomes[partition[0], "late"] += too_late
    batch.outcomes[partition[0], "duplicate"] += len(happened) - new
