"""A poll's records as a batch: decoded, without duplicates, grouped by account. Pure but for the memory it reads."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import numpy as np
from aiokafka import ConsumerRecord
from msgspec import Struct, field

from consumers.decode import Refused, dead_letter, decode
from consumers.seen import Change, Seen
from scoring.events import Event
from service.cloudevents import Decoded
from service.settings import Signal
from service.storage.dead_letters import DeadLetterRow
from service.storage.progress import Claim, Partition


class Owned(Struct):
    """A partition that this process has claimed: up to where it was folded, and what it remembers."""

    signal: Signal
    claim: Claim
    seen: Seen


class Batch(Struct):
    """What one transaction will do."""

    moves: dict[Partition, tuple[Claim, int]] = field(default_factory=dict)
    """Per partition the claim as it stands and the next offset after this batch."""
    changes: dict[Partition, Change] = field(default_factory=dict)
    events: dict[str, list[Event]] = field(default_factory=dict)
    loud: set[str] = field(default_factory=set)
    """Accounts with at least one event that isn't loaded history."""
    dead_letters: list[DeadLetterRow] = field(default_factory=list)
    records: int = 0
    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How many records of a topic were folded, duplicate or dead letters."""


def prepare(
    polled: Mapping[Partition, Sequence[ConsumerRecord]], owned: Mapping[Partition, Owned], max_bytes: int
) -> Batch:
    """Make a batch of what was polled. Records of partitions that aren't owned, or were folded before, are left out."""
    batch = Batch()
    for partition, records in polled.items():
        mine = owned.get(partition)
        if mine is None:
            continue
        records = [record for record in records if record.offset >= mine.claim.next_offset]
        if records:
            _add(batch, partition, mine, records, max_bytes)
    return batch


def _add(batch: Batch, partition: Partition, mine: Owned, records: Sequence[ConsumerRecord], max_bytes: int) -> None:
    topic = partition[0]
    decoded: list[Decoded] = []
    for record in records:
        result = decode(mine.signal, record, max_bytes)
        if isinstance(result, Refused):
            batch.dead_letters.append(dead_letter(result))
        else:
            decoded.append(result)
    last = records[-1]
    batch.moves[partition] = (mine.claim, last.offset + 1)
    batch.records += len(records)
    batch.outcomes[topic, "dead_letter"] += len(records) - len(decoded)
    if not decoded:
        return
    hashes = np.fromiter((item.identity for item in decoded), dtype=np.uint64, count=len(decoded))
    fresh = mine.seen.fresh(hashes)
    newest_at = datetime.fromtimestamp(max(record.timestamp for record in records) / 1000, UTC)
    if fresh.any():
        batch.changes[partition] = mine.seen.plan(hashes[fresh], last.offset, newest_at)
    folded = int(fresh.sum())
    batch.outcomes[topic, "folded"] += folded
    batch.outcomes[topic, "duplicate"] += len(decoded) - folded
    for item, is_fresh in zip(decoded, fresh.tolist(), strict=True):
        if is_fresh:
            account_id = item.event.account_id
            batch.events.setdefault(account_id, []).append(item.event)
            if not item.backfill:
                batch.loud.add(account_id)
