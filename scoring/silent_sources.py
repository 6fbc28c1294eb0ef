"""Silent sources of usage events: compares the number of accounts seen on a day with the usual number.

A day is compared with the same weekday of earlier weeks, because weekends have their own level, scaled to the source's
latest level. So a stop is noticed on the day on which it happens, and only then.
"""

from collections.abc import Mapping
from statistics import median_low

from msgspec import Struct

FEWEST = 10
"""The least accounts that a day must usually have to show anything."""
WEEKS = (7, 14, 21)
"""Days back to the same weekdays that a day is compared with."""

Counts = Mapping[int, int]
"""Accounts seen of a source, by day number. Days that weren't counted are missing."""


class Usual(Struct, frozen=True):
    """The usual number of accounts of a day, and the share of it below which the source is silent."""

    accounts: int
    share: float = 0.5

    def is_enough(self, accounts: int) -> bool:
        """True if a source with this number of accounts isn't silent."""
        return accounts >= self.accounts * self.share


def usual(counts: Counts, day: int) -> Usual | None:
    """The usual number for a source on `day`, from the days before; None if too little is known.

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
    """True if a source went silent on `day`, on which it had `accounts` accounts.

    `lately` are its accounts since the same weekday a week before. If they have another source by now, as after a
    renaming, nothing has stopped.
    """
    expected = usual(counts, day)
    if expected is None or expected.accounts < FEWEST or expected.is_enough(accounts):
        return False
    return lately * 2 >= expected.accounts


def is_back(counts: Counts, began: int, accounts: int) -> bool:
    """True if a source that went silent on day `began` has enough accounts on one day to end the outage."""
    expected = usual(counts, began)
    return accounts * 2 >= max(expected.accounts if expected else 0, FEWEST)


def _weekday(counts: Counts, day: int) -> int | None:
    """The median of the same weekday in three earlier weeks, so that neither a holiday nor an outage misleads."""
    known = [counts[day - back] for back in WEEKS if day - back in counts]
    return median_low(known) if known else None


def _level(counts: Counts, day: int) -> float:
    """The share of its usual number that the latest comparable day of the week before had; at most 1."""
    for before in range(day - 1, day - 8, -1):
        expected = _weekday(counts, before)
        if before in counts and expected is not None and expected >= FEWEST:
            return min(counts[before] / expected, 1.0)
    return 1.0
