"""The room that a scorecard's curves leave between accounts: how many get all the points of a measure, or none.

A measure that gives full points to nearly everybody ranks nobody, whatever its weight.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from scoring.scorecards.measure import Missing, Value
from scoring.scorecards.scorecard import DECIMALS, Scorecard

FULL, NONE = 100.0, 0.0
_HAIR = 10.0**-DECIMALS


class Saturation(NamedTuple):
    """Shares of all accounts, 0 to 1: with full points by a measure, with none, and without a value."""

    measure: str
    accounts: int
    full: float
    none: float
    missing: float


def saturation(card: Scorecard, accounts: Iterable[Sequence[Value]]) -> list[Saturation]:
    """The saturation of each measure, in the scorecard's order; `accounts` are their readings by it.

    Accounts without a value count for neither end, whatever the measure's policy makes of them. All shares of no
    accounts are 0. The readings are seen once, and not kept.
    """
    counts = [[0, 0, 0] for _ in card.measures]
    total = 0
    for readings in accounts:
        total += 1
        for count, measure, value in zip(counts, card.measures, readings, strict=True):
            if isinstance(value, Missing):
                count[2] += 1
                continue
            points = measure.curve(value)
            count[0] += points >= FULL - _HAIR
            count[1] += points <= NONE + _HAIR
    return [
        Saturation(name, total, *(count / max(total, 1) for count in each))
        for name, each in zip(card.names, counts, strict=True)
    ]
