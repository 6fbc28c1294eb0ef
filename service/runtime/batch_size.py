"""The size of a transaction: as many items as get done in the time that one should take.

On a slow or busy machine a batch that was cancelled, and retried at the same size, would be cancelled for ever.
"""

from collections import deque
from itertools import combinations
from statistics import median

FIRST = 2_000
"""The first size, before the process knows how fast it is: it may be as slow as the one that it replaces."""
BEHIND_SECONDS = 2.0
"""The time of a batch while more items wait than a short one holds. Longer ones keep rows locked, a rebalance waiting,
and records in memory.
"""
FAR_BEHIND_SECONDS = 6.0
"""The time of a batch while more than `FAR_BEHIND_BATCHES` of those wait. Accounts come up in it again and again, and
are folded once: of events spread evenly over 100,000 accounts, batches of 8 s folded 1.09 to 1.35 times as many a
second as those of 2 s, for 0.8 of Postgres' time.
"""
FAR_BEHIND_BATCHES = 10
LIVE_SECONDS = 0.25
"""The time of a batch otherwise, at most: what arrives meanwhile waits for it."""
LONGEST_SECONDS = 10.0
"""Half of the time that a rebalance waits for a batch: one that took longer makes the next one smaller at once."""
_MOST_GROWTH = 8
_REMEMBERED = 5
"""Batches to judge by: two slow ones among them change nothing."""


class BatchSize:
    """An adaptive limit, from the time that the last full batches took."""

    def __init__(self, most: int) -> None:
        """The limit never exceeds `most`, and is at least one item: a record, an account, a result."""
        self.is_behind = False
        """True if more items wait than a short batch holds."""
        self._is_far_behind = False
        self._most = most
        self._longest = self._long = self._short = min(FIRST, most)
        self._fixed = 0.0
        """The seconds that a batch takes however few its items are."""
        self._recent: deque[tuple[int, float]] = deque(maxlen=_REMEMBERED)

    @property
    def limit(self) -> int:
        """The most items of the next batch."""
        return self.most_ahead if self.is_behind else self._short

    @property
    def most_ahead(self) -> int:
        """The most items to hold ready: those of a batch when behind."""
        return self._longest if self._is_far_behind else self._long

    def done(self, items: int, seconds: float, waiting: int | None = None) -> None:
        """Note a batch that was done. `waiting` items are left; if unknown, some are after a full batch."""
        is_telling = 2 * items >= self.limit or seconds > BEHIND_SECONDS
        self.is_behind = items >= self.limit if waiting is None else waiting > self._short
        self._is_far_behind = waiting is not None and waiting > FAR_BEHIND_BATCHES * self._long
        if not items:
            return
        if seconds > LONGEST_SECONDS:
            self._cut(int(items * BEHIND_SECONDS / seconds))
        elif is_telling:
            self._recent.append((items, seconds))
            self._adapt(max(self._longest, _MOST_GROWTH * items))

    def given_up(self, items: int) -> None:
        """Note a batch that was cancelled before it was done."""
        self._cut(items // 2)

    def _cut(self, limit: int) -> None:
        self._longest = max(1, min(self._longest, limit))
        self._long = min(self._long, self._longest)
        self._short = min(self._short, self._long)
        self._recent.clear()

    def _adapt(self, most: int) -> None:
        """Choose the limits, up to `most`, by a line through the last batches: a fixed time, and one for each item."""
        slopes = [
            (seconds - others) / (items - other)
            for (other, others), (items, seconds) in combinations(self._recent, 2)
            if 2 * abs(items - other) >= min(items, other)  # between equals it would be chance
        ]
        if slopes:
            each = max(median(slopes), 0.0)
            self._fixed = median(seconds - each * items for items, seconds in self._recent)
        quickest = min(seconds for _, seconds in self._recent)
        self._fixed = max(0.0, min(self._fixed, 0.9 * quickest))
        each = max(median((seconds - self._fixed) / items for items, seconds in self._recent), 1e-9)
        most = min(most, self._most)
        self._longest, self._long, self._short = (
            # A batch that is mostly fixed cost would be too small to ever catch up.
            max(1, min(most, int((max(aim, 2 * self._fixed) - self._fixed) / each)))
            for aim in (FAR_BEHIND_SECONDS, BEHIND_SECONDS, LIVE_SECONDS)
        )
