"""The probability of churn that a score stands for, as decisions show it whose scores weren't fitted to them."""

import math
from typing import NamedTuple

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from scoring.backtest.calibration.solver import Array, expit
from scoring.backtest.discrimination import Interval, wilson
from scoring.scorecards.document import Bands

GREEN_TO = 0.5
"""The multiple of the base rate up to which a score is green."""
GROUPS = 10
MOST_STEPS = 100
LEAST, MOST = 0.1, 100.0
"""The limits of bands: red is never empty, and 100 is always green."""


class Logistic(NamedTuple):
    """log-odds of churn = intercept + slope * score."""

    intercept: float
    slope: float

    @property
    def ranks(self) -> bool:
        """True if lower scores churn more."""
        return self.slope < 0

    def probability(self, scores: ArrayLike) -> Array:
        """The probability of churn at each score."""
        return expit(self.intercept + self.slope * np.asarray(scores, float))

    def score_at(self, probability: float) -> float:
        """The score at which churn has this probability; NaN if scores don't rank, or it is 1 or more."""
        if not self.ranks or not 0 < probability < 1:
            return float("nan")
        return (_log_odds(probability) - self.intercept) / self.slope


class CalibrationGroup(Struct, frozen=True):
    """Decisions of neighbouring scores, from the lowest to the highest, and how many of them were expected to churn."""

    lowest: float
    highest: float
    decisions: int
    expected: float
    """The mean probability of churn."""
    churned: int
    observed: Interval


def logistic_map(scores: ArrayLike, churned: ArrayLike) -> Logistic:
    """The logistic map from scores to the probability of churn, by Newton's method.

    Outcomes are drawn towards the middle by one case of each (Platt, "Probabilistic outputs for support vector
    machines", 1999), so that the map is finite even where scores separate them.
    """
    values, left = np.asarray(scores, float), np.asarray(churned, bool)
    middle, spread = float(values.mean()), float(values.std())
    if spread == 0:
        return Logistic(_log_odds(float(_drawn_in(left).mean())), 0.0)
    inputs = np.column_stack([np.ones(len(values)), (values - middle) / spread])
    wanted, at = _drawn_in(left), np.zeros(2)
    at[0] = _log_odds(float(wanted.mean()))
    for _ in range(MOST_STEPS):
        found = expit(inputs @ at)
        slopes = inputs.T @ (wanted - found)
        curvature = (inputs * (found * (1 - found))[:, None]).T @ inputs + 1e-9 * np.eye(2)
        move = np.linalg.solve(curvature, slopes)
        at = at + move / max(1.0, float(np.abs(move).max()))
        if np.abs(move).max() < 1e-10:
            break
    slope = float(at[1] / spread)
    return Logistic(float(at[0] - slope * middle), slope)


def _drawn_in(left: NDArray[np.bool_]) -> Array:
    gone, stayed = int(left.sum()), int((~left).sum())
    return np.where(left, (gone + 1) / (gone + 2), 1 / (stayed + 2))


def _log_odds(probability: float) -> float:
    return math.log(probability / (1 - probability))


def bands_of(mapping: Logistic, base_rate: float) -> Bands:
    """Bands of churn: red from twice the base rate, green to half of it; the usual ones if scores don't rank.

    Above a third, twice as much would be nearly certain or impossible: red is then from halfway between it and 1.
    """
    yellow = mapping.score_at(min(2 * base_rate, (1 + base_rate) / 2))
    green = mapping.score_at(GREEN_TO * base_rate)
    if np.isnan(yellow) or np.isnan(green):
        return Bands()
    yellow = round(min(max(yellow, LEAST), MOST - LEAST), 1)
    return Bands(0, yellow, round(min(max(green, yellow + LEAST), MOST), 1))


def calibration_table(scores: ArrayLike, churned: ArrayLike, mapping: Logistic) -> list[CalibrationGroup]:
    """Decisions in groups of about the same size, by score; equal scores are never parted."""
    values, left = np.asarray(scores, float), np.asarray(churned, bool)
    if not len(values):
        return []
    edges = np.unique(np.quantile(values, np.linspace(0, 1, GROUPS + 1)[1:-1], method="higher"))
    group_of = np.searchsorted(edges, values, side="right")
    expected = mapping.probability(values)
    found = []
    for group in np.unique(group_of):
        mine = group_of == group
        gone, total = int(left[mine].sum()), int(mine.sum())
        own = values[mine]
        found.append(
            CalibrationGroup(
                float(own.min()), float(own.max()), total, float(expected[mine].mean()), gone, wilson(gone, total)
            )
        )
    return found
