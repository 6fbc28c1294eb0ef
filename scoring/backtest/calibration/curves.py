"""Monotone piecewise-linear curves, as sums of steps whose heights are at least 0.

Step i of a rising curve grows from 0 at knot i to 1 at knot i + 1; of a falling one it falls from 1 to 0.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scoring.backtest.calibration.solver import Array

QUANTILES = (2.0, 26.0, 50.0, 74.0, 98.0)
"""Percentiles of the known values that become knots: outliers beyond them say no more than the last."""
DIGITS = 3
LEAST_KNOWN = 20
"""Known values from which a curve is tried, and missing ones from which they are tried as worst."""
NEUTRAL = 0.5


class Shape(NamedTuple):
    """A curve without its heights: of a candidate's column, rising or falling, with missing values worst or neutral."""

    column: int
    rising: bool
    knots: tuple[float, ...]
    worst: bool

    @property
    def steps(self) -> int:
        """The number of steps."""
        return len(self.knots) - 1


class Part(NamedTuple):
    """A curve: log-odds by value."""

    shape: Shape
    heights: Array

    @property
    def range(self) -> float:
        """The difference between its best end and its worst, which is 0."""
        return float(self.heights.sum())

    @property
    def points(self) -> list[tuple[float, float]]:
        """Its log-odds at the knots."""
        risen = np.concatenate([[0.0], np.cumsum(self.heights)])
        heights = risen if self.shape.rising else self.range - risen
        return list(zip(self.shape.knots, np.maximum(heights, 0.0).tolist(), strict=True))


def knots_of(values: NDArray[np.floating]) -> tuple[float, ...] | None:
    """Knots at the quantiles of the known values, of three significant digits; None if there are too few to tell."""
    known = values[~np.isnan(values)]
    if len(known) < LEAST_KNOWN:
        return None
    knots = sorted({_short(value) for value in np.percentile(known, QUANTILES).tolist()})
    return tuple(knots) if len(knots) > 1 else None


def _short(value: float) -> float:
    return float(f"{value:.{DIGITS}g}") + 0.0


def shapes_of(values: NDArray[np.floating], column: int, directions: tuple[bool, ...]) -> list[Shape]:
    """The curves that a column may have."""
    if (knots := knots_of(values)) is None:
        return []
    policies = (False, True) if np.isnan(values).sum() >= LEAST_KNOWN else (False,)
    return [Shape(column, rising, knots, worst) for rising in directions for worst in policies]


def steps_of(values: NDArray[np.floating], shape: Shape) -> Array:
    """The steps of a column's values: a row for each, from 0 to 1. Missing ones are half of each step, or nothing."""
    knots = np.array(shape.knots)
    steps = np.clip((values[:, None] - knots[:-1]) / np.diff(knots), 0.0, 1.0)
    if not shape.rising:
        steps = 1.0 - steps
    steps[np.isnan(values)] = 0.0 if shape.worst else NEUTRAL
    return np.asarray(steps, float)
