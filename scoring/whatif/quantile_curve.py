"""Curves whose points are ranks: a value scores by the share of accounts that do worse.

With ties the rank is in their middle: of accounts of which half have the best value, that value scores 76, not 100, as
it tells nothing about that half. So the mean account scores 50, as much as a missing value that is neutral.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from math import isfinite

Points = list[tuple[float, float]]

LEVELS = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)
"""Quantiles that become knots, in equal steps. What lies beyond the outermost scores like them."""
DIGITS = 2
"""Of a knot, if so few lie within the range of the values."""
MOST_DIGITS = 17


def rank_curve(values: Sequence[float], *, rising: bool, lowest: float = 0.0, highest: float = 100.0) -> Points:
    """Points from `lowest` to `highest` for sorted `values`, of which there is at least one.

    Knots lie within the range of the values and have as few digits as that permits, scores are whole if the ends are.
    Empty if all values round to the same knot: they tell no account from another.
    """
    knots = sorted({_readable(quantile(values, level), values[0], values[-1]) for level in LEVELS})
    if len(knots) < 2:
        return []
    ranks = [_stretched(rank(values, knot)) for knot in knots]
    shares = ranks if rising else [1 - each for each in ranks]
    scores = [min(max(float(round(lowest + (highest - lowest) * each)), lowest), highest) for each in shares]
    return list(_without_flat(list(zip(knots, scores, strict=True))))


def quantile(values: Sequence[float], level: float) -> float:
    """The value below which a share `level` of sorted `values` lies: always one of them."""
    return values[min(int(level * len(values)), len(values) - 1)]


def rank(values: Sequence[float], value: float) -> float:
    """The share of sorted `values` below `value`, 0 to 1; equal ones count half."""
    return (bisect_left(values, value) + bisect_right(values, value)) / 2 / len(values)


def _stretched(share: float) -> float:
    """The rank among those between the outermost knots, 0 to 1."""
    return min(max((share - LEVELS[0]) / (LEVELS[-1] - LEVELS[0]), 0.0), 1.0)


def _readable(value: float, low: float, high: float) -> float:
    """The value with as few digits as leave it within `low` to `high`."""
    for digits in range(DIGITS, MOST_DIGITS):
        short = float(f"{value:.{digits}g}")
        if low <= short <= high and isfinite(short):
            return short + 0.0  # no negative zero
    return value + 0.0


def _without_flat(points: Points) -> Iterator[tuple[float, float]]:
    """The points that matter: none between two others of the same score."""
    for index, (value, score) in enumerate(points):
        around = [points[each][1] for each in (index - 1, index + 1) if 0 <= each < len(points)]
        if len(around) < 2 or any(each != score for each in around):
            yield value, score
