"""The size of a transaction: as much as is safely done before it would be cancelled.

On a slow or busy machine a batch that was cancelled, and retried at the same size, would be cancelled for ever.
"""

FIRST = 8_000
"""The first size, before the process knows how fast it is: it may be as slow as the one that it replaces."""
GOAL_SECONDS = 10.0
"""The longest that a batch should take, in seconds: half of the time that a rebalance waits for it."""
_EASY_SECONDS = GOAL_SECONDS / 4
"""The time aimed at, in seconds, when the size more than doubles: other batches of that size may take several times
longer.
"""
_MOST_GROWTH = 8.0


class BatchSize:
    """An adaptive limit: it grows after quick batches, the more the quicker they were, and is cut after slow or
    cancelled ones.
    """

    def __init__(self, most: int) -> None:
        """The limit never exceeds `most`, and is at least one item: a record, an account, a result."""
        self._most = most
        self.limit = min(FIRST, most)

    def done(self, items: int, seconds: float) -> None:
        """Note a batch that was done."""
        if seconds > GOAL_SECONDS:
            self.limit = max(1, min(self.limit, int(items * GOAL_SECONDS / seconds)))
        elif 2 * items >= self.limit and 2 * seconds <= GOAL_SECONDS:
            # Small batches cost more per item, so a backlog should be worked off with few of them.
            growth = min(max(2.0, _EASY_SECONDS / max(seconds, 0.001)), _MOST_GROWTH)
            self.limit = min(self._most, int(growth * self.limit))

    def given_up(self, items: int) -> None:
        """Note a batch that was cancelled before it was done."""
        self.limit = max(1, min(self.limit, items // 2))
