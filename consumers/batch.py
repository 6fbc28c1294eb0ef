"""What was taken from the topics as a batch: without duplicates, grouped by account. Pure but for what it remembers."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from consumers.decode import Refused, dead_letter
from consumers.seen import Change, Seen
from consumers.taken import Stretch, Taken
from scoring.events import Event
from scoring.windows import MICROSECONDS_PER_DAY
from service.cloudevents import Decoded
from service.settings import Signal
from service.storage.dead_letters import DeadLetterRow
from service.storage.progress import Claim, Move, Partition


class Owned(Struct):
    """A partition that this process has claimed: up to where it was folded, and what it remembers."""

    signal: Signal
    claim: Claim
    seen: Seen
    refused: list[int] = field(default_factory=list)
    """Offsets of the dead letters among the last records."""
    position: int = 0
    """The offset of the next record that is to be polled."""
    unverified: int | None = None
    """The fingerprint that the record before the next offset must have, until it was seen to have it."""


Moments = NDArray[np.int64]
_MILLISECONDS_PER_DAY = MICROSECONDS_PER_DAY // 1000


class Batch(Struct):
    """What one transaction will do."""

    moves: dict[Partition, Move] = field(default_factory=dict)
    changes: dict[Partition, Change] = field(default_factory=dict)
    events: dict[str, list[Event]] = field(default_factory=dict)
    loud: set[str] = field(default_factory=set)
    """Accounts with at least one event that isn't loaded history."""
    dead_letters: list[DeadLetterRow] = field(default_factory=list)
    records: int = 0
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many records of a topic are folded, duplicate, late or dead letters: each is one of these."""
    taken_ms: dict[Partition, Moments] = field(default_factory=dict)
    """When the broker took the records, in milliseconds."""
    happened: dict[Partition, Moments] = field(default_factory=dict)
    """When the events happened that are folded, in microseconds; but for loaded history."""


def prepare(taken: Taken, owned: Mapping[Partition, Owned], retention: int) -> Batch:
    """Make a batch. Records of partitions that aren't owned, or were folded before, are left out.

    Events older than `retention` days are late. They stay in the batch, as the fold has the last word on them.
    """
    batch = Batch()
    for partition, stretch in taken.items():
        mine = owned.get(partition)
        if mine is None:
            continue
        folded = bisect_left(stretch.offsets, mine.claim.next_offset)
        if folded < len(stretch.offsets):
            _add(batch, partition, mine, stretch, folded, retention)
    return batch


def _add(batch: Batch, partition: Partition, mine: Owned, stretch: Stretch, start: int, retention: int) -> None:
    topic = partition[0]
    results = stretch.results[start:] if start else stretch.results
    last_offset = stretch.offsets[-1]
    refused = [result for result in results if isinstance(result, Refused)]
    decoded = [result for result in results if isinstance(result, Decoded)]
    batch.moves[partition] = Move(mine.claim, last_offset + 1, stretch.fingerprint)
    batch.records += len(results)
    batch.dead_letters += map(dead_letter, refused)
    batch.outcomes[topic, "dead_letter"] += len(refused)
    taken_ms = np.array(stretch.taken_ms[start:], dtype=np.int64)
    batch.taken_ms[partition] = taken_ms
    if not decoded:
        return
    hashes = np.fromiter([item.identity for item in decoded], dtype=np.uint64, count=len(decoded))
    fresh = mine.seen.fresh(hashes)
    newest_at = datetime.fromtimestamp(int(taken_ms.max()) / 1000, UTC)
    if fresh.any():
        batch.changes[partition] = mine.seen.plan(hashes[fresh], last_offset, newest_at)
    if refused:
        taken_ms = taken_ms[[isinstance(result, Decoded) for result in results]]
    _count(batch, partition, decoded, fresh, taken_ms, retention)
    events, loud = batch.events, batch.loud
    for item, is_fresh in zip(decoded, fresh.tolist(), strict=True):
        if not is_fresh:
            continue
        event = item.event
        account_id = event.account_id
        if account_id in events:
            events[account_id].append(event)
        else:
            events[account_id] = [event]
        if not item.backfill:
            loud.add(account_id)


def _count(
    batch: Batch,
    partition: Partition,
    decoded: list[Decoded],
    fresh: NDArray[np.bool_],
    taken_ms: Moments,
    retention: int,
) -> None:
    """Note what becomes of the events, as `scoring.state.fold` decides it, and when those happened that are news."""
    at = np.fromiter([item.event.at for item in decoded], dtype=np.int64, count=len(decoded))
    late = fresh & (at // MICROSECONDS_PER_DAY <= taken_ms // _MILLISECONDS_PER_DAY - retention)
    history = np.fromiter([item.backfill for item in decoded], dtype=np.bool_, count=len(decoded))
    new, too_late = int(fresh.sum()), int(late.sum())
    batch.happened[partition] = at[fresh & ~late & ~history]
    batch.outcomes[partition[0], "folded"] += new - too_late
    batch.outcomes[partition[0], "late"] += too_late
    batch.outcomes[partition[0], "duplicate"] += len(decoded) - new
