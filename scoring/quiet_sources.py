"""Sources of usage events: how many accounts one is heard of on a day, and whether it has gone quiet.

A day is measured against the same weekday of the weeks before, as weekends have their own level, brought to the level
that the source had last. So a stop is noticed on the day on which it happens, and not again on each day that follows.
"""

from collections.abc import Mapping
from statistics import median_low

from msgspec import Struct

FEWEST = 10
"""Accounts that a day must usually have to tell anything."""
WEEKS = (7, 14, 21)
"""How many days back the same weekdays lie that a day is measured against."""

Counts = Mapping[int, int]
"""By day number, how many accounts a source was heard of. Days that weren't counted are missing."""


class Usual(Struct, frozen=True):
    """How many accounts a day usually has, and the share of them below which the source is quiet."""

    accounts: int
    share: float = 0.5

    def is_enough(self, accounts: int) -> bool:
        """Whether a source that is heard of so many accounts isn't quiet."""
        return accounts >= self.accounts * self.share


def usual(counts: Counts, day: int) -> Usual | None:
    """What is usual for a source on `day`, by the days before; None if nothing is known that could tell.

    In its first week a source has no weekday to compare with, and a weekend looks like a stop: then only a fall to less
    than a tenth of the day before counts as one.
    """
    accounts = _weekday(counts, day)
    if accounts is not None:
        return Usual(round(accounts * _level(counts, day)))
    if day - 1 in counts:
        return Usual(counts[day - 1], 0.1)
    return None


def is_silent(counts: Counts, day: int, accounts: int, lately: int) -> bool:
    """Whether a source has gone quiet on `day`, on which it was heard of so many accounts.

    `lately` are its accounts since the same weekday a week before. Where they have another source by now, as when one
    is renamed, nothing has stopped.
    """
    expected = usual(counts, day)
    if expected is None or expected.accounts < FEWEST or expected.is_enough(accounts):
        return False
    return lately * 2 >= expected.accounts


def is_back(counts: Counts, began: int, accounts: int) -> bool:
    """Whether a source that went quiet on the day `began` is heard of so many accounts, on one day, that it is over."""
    expected = usual(counts, began)
    return accounts * 2 >= max(expected.accounts if expected else 0, FEWEST)


def _weekday(counts: Counts, day: int) -> int | None:
    """What the same weekdays before had: the middle of three, so that neither a holiday nor an outage misleads."""
    known = [counts[day - back] for back in WEEKS if day - back in counts]
    return median_low(known) if known else None


def _level(counts: Counts, day: int) -> float:
    """What the last day of the week before that can tell had, as a share of what its weekday had; 1 at most."""
    for before in range(day - 1, day - 8, -1):
        expected = _weekday(counts, before)
        if before in counts and expected is not None and expected >= FEWEST:
            return min(counts[before] / expected, 1.0)
    return 1.0
