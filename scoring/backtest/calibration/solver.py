"""Logistic regression on steps that only help: heights are at least 0, and each costs a penalty.

Minimizes mean log loss + penalty * sum of heights + RIDGE / 2 * sum of their squares, with a free constant, by FISTA
with restarts (Beck and Teboulle, SIAM J. Imaging Sci. 2, 2009; O'Donoghue and Candes, Found. Comput. Math. 15, 2015),
on the steps that may be above 0: the others are looked at again until none of them should be (Tibshirani et al.,
"Strong rules for discarding predictors in lasso-type problems", J. R. Stat. Soc. B 74, 2012).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RIDGE = 1e-4
"""Shares a height between steps that hardly differ, so that the solution is unique."""
MOST_ROUNDS = 2_000
TOLERANCE = 1e-6
"""Of the gradient; penalties worth trying are a thousand times as large."""
STEEPEST = 0.25
"""The largest second derivative of the log loss."""


class Solution(NamedTuple):
    """log-odds of staying = constant + steps @ heights."""

    constant: float
    heights: Array


def largest_penalty(steps: Array, stayed: Array) -> float:
    """The penalty from which on all heights are 0."""
    return float(max((steps.T @ (stayed - stayed.mean())).max(initial=0.0) / max(len(stayed), 1), 0.0))


def solve(steps: Array, stayed: Array, penalty: float, start: Array | None = None) -> Solution:
    """The best heights for `steps` (a row per decision, values of 0 to 1), where `stayed` is 1 or 0, both occurring.

    `start` are heights from which to begin.
    """
    means = steps.mean(0)
    heights = np.zeros(steps.shape[1]) if start is None else start.copy()
    constant = float(np.log(stayed.mean() / (1 - stayed.mean())))
    active = heights > 0
    while True:
        chosen = np.flatnonzero(active)
        centred = steps[:, chosen] - means[chosen]
        constant, heights[chosen] = _descend(centred, stayed, penalty, constant, heights[chosen])
        pull = _pull(steps, means, stayed - expit(constant + centred @ heights[chosen]))
        missed = ~active & (pull > penalty + TOLERANCE)
        if not missed.any():
            return Solution(float(constant - means @ heights), heights)
        active |= missed


def expit(log_odds: Array) -> Array:
    """The probability of log-odds."""
    return np.asarray(1 / (1 + np.exp(-np.clip(log_odds, -500, 500))), float)


def log_loss(log_odds: Array, stayed: Array) -> float:
    """The sum of the log losses of log-odds of staying."""
    return float((np.logaddexp(0, log_odds) - stayed * log_odds).sum())


def _pull(steps: Array, means: Array, residuals: Array) -> Array:
    """The slope of the gain, for each height."""
    return np.asarray((steps.T @ residuals - means * residuals.sum()) / len(residuals), float)


def _descend(steps: Array, stayed: Array, penalty: float, constant: float, heights: Array) -> tuple[float, Array]:
    """FISTA on centred steps: then the constant and the heights each have a step size of their own."""
    count = len(stayed)
    slope = STEEPEST * _largest_eigenvalue(steps) / count + RIDGE
    ahead, ahead_constant, momentum = heights, constant, 1.0
    for _ in range(MOST_ROUNDS):
        residuals = (expit(ahead_constant + steps @ ahead) - stayed) / count
        gradient = steps.T @ residuals + RIDGE * ahead + penalty
        moved = np.maximum(ahead - gradient / slope, 0.0)
        moved_constant = ahead_constant - residuals.sum() / STEEPEST
        done = max(np.abs(ahead - moved).max(initial=0.0) * slope, abs(residuals.sum())) < TOLERANCE
        if gradient @ (moved - heights) + residuals.sum() * (moved_constant - constant) > 0:
            momentum = 1.0
        following = (1 + np.sqrt(1 + 4 * momentum * momentum)) / 2
        drift = (momentum - 1) / following
        ahead = moved + drift * (moved - heights)
        ahead_constant = moved_constant + drift * (moved_constant - constant)
        heights, constant, momentum = moved, moved_constant, following
        if done:
            break
    return float(constant), heights


def _largest_eigenvalue(steps: Array) -> float:
    """Of steps' Gram matrix."""
    return float(np.linalg.eigvalsh(steps.T @ steps)[-1]) if steps.shape[1] else 0.0
