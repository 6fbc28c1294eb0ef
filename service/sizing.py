"""How much is done in one transaction: as much as is done well before it is given up.

On a slow or busy machine a batch that was given up, and came again as it was, would be given up again, for ever.
"""

FIRST = 2_000
"""What a process begins with, before it knows how fast it is: it may be as slow as the one that it takes over from."""
GOAL_SECONDS = 10.0
"""How long a batch should take at most: half of what a rebalance waits for it."""


class BatchSize:
    """The bound, which follows what batches took: doubled after quick ones, cut after slow ones and those given up."""

    def __init__(self, most: int) -> None:
        """It never exceeds `most`, and is never less than one item: a record, an account, a result."""
        self._most = most
        self.limit = min(FIRST, most)

    def done(self, items: int, seconds: float) -> None:
        """A batch was done."""
        if seconds > GOAL_SECONDS:
            self.limit = max(1, min(self.limit, int(items * GOAL_SECONDS / seconds)))
        elif 2 * items >= self.limit and 2 * seconds <= GOAL_SECONDS:
            self.limit = min(self._most, 2 * self.limit)

    def given_up(self, items: int) -> None:
        """A batch was given up before it was done."""
        self.limit = max(1, min(self.limit, items // 2))
