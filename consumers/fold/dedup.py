"""Which events were folded before: the identities of a partition's last events, as sorted runs of 64-bit hashes.

An event is remembered for at least 24 hours, by the broker's clock, and for at least the last 1,000,000 events of its
partition. Eight bytes an event, in memory as in Postgres: runs merge as they grow (a log-structured merge), and each
run is one row. With 5,000,000 remembered events, a new one is taken for one of them with a probability of 3e-13.
"""

from datetime import datetime, timedelta

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

KEEP_TIME = timedelta(hours=24)
KEEP_EVENTS = 1_000_000
LARGEST_RUN = 262_144
"""Runs stop merging here, so that what has aged can leave in small pieces."""

Hashes = NDArray[np.uint64]


class HashRun(Struct, frozen=True):
    """The hashes of a stretch of events, sorted; it ends with `last_offset`, and its newest event is of `newest_at`.

    Last offsets rise from run to run, and tell them apart.
    """

    last_offset: int
    newest_at: datetime
    hashes: Hashes


class DedupChange(Struct, frozen=True):
    """What remembering a batch does to the runs: those with `gone` last offsets leave, `added` comes last."""

    gone: list[int]
    added: HashRun


class Deduplicator:
    """The memory of one partition."""

    def __init__(self, runs: list[HashRun] | None = None) -> None:
        """`runs` oldest first, as they were stored."""
        self._runs = runs or []

    def __len__(self) -> int:
        return sum(len(run.hashes) for run in self._runs)

    @property
    def end(self) -> int:
        """The offset after the last batch of which an event was folded; 0 if none was."""
        return self._runs[-1].last_offset + 1 if self._runs else 0

    def fresh(self, hashes: Hashes) -> NDArray[np.bool_]:
        """For each hash whether it is new: in no run, and not earlier in `hashes` itself."""
        fresh = np.zeros(len(hashes), dtype=np.bool_)
        distinct, first = np.unique(hashes, return_index=True)
        unseen = np.ones(len(distinct), dtype=np.bool_)
        for run in self._runs:
            unseen &= ~_contains(run.hashes, distinct)
        fresh[first[unseen]] = True
        return fresh

    def plan(self, hashes: Hashes, last_offset: int, newest_at: datetime) -> DedupChange:
        """What remembering fresh `hashes` would do. Nothing changes before `apply`: the transaction may yet fail."""
        if self._runs:  # where an operator went back, offsets come again; a run's must still be its own, and the last
            last_offset = max(last_offset, self._runs[-1].last_offset + 1)
        aged = self._aged(newest_at)
        gone = [run.last_offset for run in self._runs[:aged]]
        added = HashRun(last_offset, newest_at, np.sort(hashes))
        for run in reversed(self._runs[aged:]):
            size = len(added.hashes)
            if len(run.hashes) > 2 * size or len(run.hashes) + size > LARGEST_RUN:
                break
            gone.append(run.last_offset)
            merged = np.sort(np.concatenate([run.hashes, added.hashes]), kind="stable")
            added = HashRun(last_offset, max(run.newest_at, added.newest_at), merged)
        return DedupChange(gone, added)

    def apply(self, change: DedupChange) -> None:
        """Carry out a plan, once its transaction has committed."""
        gone = set(change.gone)
        self._runs = [run for run in self._runs if run.last_offset not in gone] + [change.added]

    def _aged(self, now: datetime) -> int:
        """How many runs, from the oldest, are out of both bounds."""
        behind = len(self)
        for index, run in enumerate(self._runs):
            behind -= len(run.hashes)
            if behind < KEEP_EVENTS or run.newest_at > now - KEEP_TIME:
                return index
        return len(self._runs)


def _contains(run: Hashes, hashes: Hashes) -> NDArray[np.bool_]:
    if not len(run):
        return np.zeros(len(hashes), dtype=np.bool_)
    places = np.searchsorted(run, hashes)
    places[places == len(run)] = 0
    found: NDArray[np.bool_] = run[places] == hashes
    return found
