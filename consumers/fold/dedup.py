"""Duplicate detection: the identities of a partition's last events, as sorted runs of 64-bit hashes.

An event is remembered for at least 24 hours by the broker's clock, and for at least the last 1,000,000 events of its
partition. Each event takes eight bytes, in memory as in Postgres: runs merge as they grow (a log-structured merge), and
each run is one row. With 5,000,000 remembered events, a new one is mistaken for one of them with a probability of
3e-13.
"""

from datetime import datetime, timedelta

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

KEEP_TIME = timedelta(hours=24)
KEEP_EVENTS = 1_000_000
LARGEST_RUN = 262_144
"""Runs stop merging at this size, so that old ones can be dropped in small pieces."""

Hashes = NDArray[np.uint64]


class HashRun(Struct, frozen=True):
    """Sorted hashes of consecutive events, up to `last_offset`; the newest event is of `newest_at`.

    Last offsets rise from run to run and identify them.
    """

    last_offset: int
    newest_at: datetime
    hashes: Hashes


class DedupChange(Struct, frozen=True):
    """The change that a batch makes to the runs: those whose last offset is in `gone` leave, `added` is appended."""

    gone: list[int]
    added: HashRun


class Deduplicator:
    """The remembered events of one partition."""

    def __init__(self, runs: list[HashRun] | None = None) -> None:
        """`runs` are in stored order, oldest first."""
        self._runs = runs or []

    def __len__(self) -> int:
        return sum(len(run.hashes) for run in self._runs)

    @property
    def end(self) -> int:
        """The offset after the last batch that had a new event; 0 if there was none."""
        return self._runs[-1].last_offset + 1 if self._runs else 0

    def fresh(self, hashes: Hashes) -> NDArray[np.bool_]:
        """True for each hash that is new: in no run, and not earlier in `hashes` itself."""
        fresh = np.zeros(len(hashes), dtype=np.bool_)
        distinct, first = np.unique(hashes, return_index=True)
        unseen = np.ones(len(distinct), dtype=np.bool_)
        for run in self._runs:
            unseen &= ~_contains(run.hashes, distinct)
        fresh[first[unseen]] = True
        return fresh

    def plan(self, hashes: Hashes, last_offset: int, newest_at: datetime) -> DedupChange:
        """Plan to remember fresh `hashes`. Nothing changes before `apply`, because the transaction may still fail."""
        if self._runs:  # after an operator went back, offsets repeat; a run's must still be unique and the last
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
        """Carry out a plan once its transaction has committed."""
        gone = set(change.gone)
        self._runs = [run for run in self._runs if run.last_offset not in gone] + [change.added]

    def _aged(self, now: datetime) -> int:
        """The number of runs, from the oldest, that are outside both bounds."""
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
