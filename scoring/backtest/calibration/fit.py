"""The fit: which curves, and how high, at a penalty that is chosen on accounts that were left out.

All candidates' curves are fitted with the penalty, the ones with the largest ranges are kept and fitted again with less
of it, since it has done its work of choosing.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from scoring.backtest.calibration.curves import Part, Shape, shapes_of, steps_of
from scoring.backtest.calibration.folds import folds
from scoring.backtest.calibration.readings import Matrix, Readings
from scoring.backtest.calibration.sample import sample
from scoring.backtest.calibration.solver import Array, Solution, largest_penalty, log_loss, solve

PENALTIES = (0.7, 0.5, 0.35, 0.25, 0.18, 0.125, 0.09, 0.06)
"""Tried shares of the largest penalty that leaves anything."""
RELAXED = 0.3
"""The share of the penalty that is left when the chosen curves are fitted again."""
LEAST_RANGE = 1e-3
"""Log-odds below which a curve says nothing."""
AT_MOST = 10
INNER_FOLDS = 3
STEPS = INNER_FOLDS + 1
"""The number of times that a fit calls `advance`."""

Advance = Callable[[int], None]
"""Is told that so many steps are done."""


class Fit(NamedTuple):
    """log-odds of staying = constant + the sum of the parts' curves. `penalty` is a share of the largest."""

    constant: float
    parts: list[Part]
    penalty: float

    @property
    def range(self) -> float:
        """The difference between the best log-odds and the worst, which is the constant."""
        return sum(part.range for part in self.parts)

    def log_odds(self, values: Matrix) -> Array:
        """The log-odds of staying of each row of readings."""
        found = np.full(len(values), self.constant)
        for part in self.parts:
            found += steps_of(values[:, part.shape.column], part.shape) @ part.heights
        return found


def no_advance(steps: int) -> None:
    """Of a fit whose progress nobody follows."""


def fit(known: Readings, *, at_most: int = AT_MOST, seed: int = 0, advance: Advance = no_advance) -> Fit:
    """The fit to `known`, or to a sample of it, of at most so many measures; of none if all churned, or all stayed.

    The penalty is the one with the least log loss in a cross-validation whose folds are of whole accounts. The same
    readings give the same fit.
    """
    if not _both(known):
        advance(STEPS)
        return Fit(0.0, [], PENALTIES[0])
    known, constant = sample(known, seed=seed)
    losses = np.zeros(len(PENALTIES))
    fold_of = folds(known.accounts, known.churned, INNER_FOLDS, seed)
    for fold in range(INNER_FOLDS):
        losses += _losses(known.rows(fold_of != fold), known.rows(fold_of == fold), at_most)
        advance(1)
    best = int(np.argmin(losses))
    found = fit_path(known, PENALTIES[: best + 1], at_most)[-1]
    advance(1)
    return found._replace(constant=found.constant + constant)


def _losses(learned: Readings, held: Readings, at_most: int) -> Array:
    """The log loss of each penalty on accounts that were left out; none if those that are left say nothing."""
    if not _both(learned):
        return np.zeros(len(PENALTIES))
    stayed = _stayed(held)
    return np.array([log_loss(each.log_odds(held.values), stayed) for each in fit_path(learned, PENALTIES, at_most)])


def fit_path(known: Readings, penalties: Sequence[float], at_most: int) -> list[Fit]:
    """A fit for each penalty (a share of the largest), which fall: each starts from the one before."""
    columns = enumerate(known.candidates)
    shapes = [
        shape
        for column, candidate in columns
        for shape in shapes_of(known.values[:, column], column, candidate.directions)
    ]
    stayed = _stayed(known)
    steps = _design(known.values, shapes)
    ends = np.cumsum([0, *(shape.steps for shape in shapes)])
    largest = largest_penalty(steps, stayed)
    found, start = [], None
    for penalty in penalties:
        chosen = solve(steps, stayed, penalty * largest, start)
        start = chosen.heights
        kept = _largest(shapes, [float(start[a:b].sum()) for a, b in pairwise(ends)], at_most)
        again = _design(known.values, kept)
        found.append(_fitted(kept, solve(again, stayed, penalty * largest * RELAXED), penalty))
    return found


def _both(known: Readings) -> bool:
    return len(np.unique(known.churned)) == 2


def _stayed(known: Readings) -> Array:
    return (~known.churned).astype(float)


def _design(values: Matrix, shapes: Sequence[Shape]) -> Array:
    """The steps of all shapes side by side: the largest matrix of a calibration, so it is there only once."""
    ends = np.cumsum([0, *(shape.steps for shape in shapes)])
    design = np.empty((len(values), int(ends[-1])))
    for shape, (start, end) in zip(shapes, pairwise(ends), strict=True):
        design[:, start:end] = steps_of(values[:, shape.column], shape)
    return design


def _largest(shapes: Sequence[Shape], ranges: Sequence[float], at_most: int) -> list[Shape]:
    """The shapes with the largest ranges, one for each candidate."""
    best: dict[int, Shape] = {}
    for place in sorted(range(len(shapes)), key=lambda place: -ranges[place]):
        if ranges[place] > LEAST_RANGE and len(best) < at_most:
            best.setdefault(shapes[place].column, shapes[place])
    return list(best.values())


def _fitted(shapes: Sequence[Shape], solution: Solution, penalty: float) -> Fit:
    ends = np.cumsum([shape.steps for shape in shapes])[:-1]
    heights = np.split(solution.heights, ends) if shapes else []
    parts = [Part(shape, own) for shape, own in zip(shapes, heights, strict=True)]
    return Fit(
        solution.constant,
        sorted((part for part in parts if part.range > LEAST_RANGE), key=lambda part: -part.range),
        penalty,
    )
