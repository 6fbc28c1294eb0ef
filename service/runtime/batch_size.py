"""How much is done in one transaction: as much as is done well before it is given up.

On a slow or busy machine a batch that was given up, and came again as it was, would be given up again, for ever.
"""

FIRST = 8_000
"""What a process begins with, before it knows how fast it is: it may be as slow as the one that it takes over from."""
GOAL_SECONDS = 10.0
"""How long a batch should take at most: half of what a rebalance waits for it."""
_EASY_SECONDS = GOAL_SECONDS / 4
"""What the next is to take where it grows by more than double: others of the same size may take several times that."""
_MOST_GROWTH = 8.0


class BatchSize:
    """The bound, which follows what batches took: it grows after quick ones, the more the quicker they were, and is cut
    after slow ones and those given up.
    """

    def __init__(self, most: int) -> None:
        """It never exceeds `most`, and is never less than one item: a record, an account, a result."""
        self._most = most
        self.limit = min(FIRST, most)

    def done(self, items: int, seconds: float) -> None:
        """A batch was done."""
        if seconds > GOAL_SECONDS:
            self.limit = max(1, min(self.limit, int(items * GOAL_SECONDS / seconds)))
        elif 2 * items >= self.limit and 2 * seconds <= GOAL_SECONDS:
            # Small batches cost more per item: a backlog should be met with few of them.
            growth = min(max(2.0, _EASY_SECONDS / max(seconds, 0.001)), _MOST_GROWTH)
            self.limit = min(self._most, int(growth * self.limit))

    def given_up(self, items: int) -> None:
        """A batch was given up before it was done."""
        self.limit = max(1, min(self.limit, items // 2))
