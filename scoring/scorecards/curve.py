"""Curves: piecewise linear from a measure's value to a score of 0 to 100, clamped at the ends."""

from bisect import bisect_right
from collections.abc import Callable, Sequence

Curve = Callable[[float], float]


def compile_curve(points: Sequence[tuple[float, float]]) -> Curve:
    """A function through `points`, whose values strictly increase. Needs at least one point."""
    values = [float(value) for value, _ in points]
    scores = [float(score) for _, score in points]
    first, last = values[0], values[-1]
    slopes = [(scores[i + 1] - scores[i]) / (values[i + 1] - values[i]) for i in range(len(points) - 1)]
    if len(points) == 2:
        return _line(first, last, scores[0], scores[1], slopes[0])

    def curve(value: float) -> float:
        if value <= first:
            return scores[0]
        if value >= last:
            return scores[-1]
        i = bisect_right(values, value) - 1
        return scores[i] + slopes[i] * (value - values[i])

    return curve


def _line(first: float, last: float, start: float, end: float, slope: float) -> Curve:
    """A curve of two points, which most are, without the search: it runs for each measure of each batch."""

    def curve(value: float) -> float:
        if value <= first:
            return start
        if value >= last:
            return end
        return start + slope * (value - first)

    return curve
