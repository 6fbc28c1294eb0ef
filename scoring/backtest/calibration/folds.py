"""Folds of whole accounts, and what a fit says of those that it didn't see."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from scoring.backtest.calibration.readings import Flags, Readings
from scoring.backtest.calibration.solver import Array

Scorer = Callable[[Readings], Array]
"""Scores of decisions, low for those that should churn."""
Learner = Callable[[Readings], Scorer]
"""A way to make a scorer of decisions whose outcomes are known."""
OUTER_FOLDS = 5


def folds(accounts: NDArray[np.str_], churned: Flags, count: int, seed: int) -> NDArray[np.int64]:
    """The fold of each decision. An account is in one of them, and those that churned are spread evenly.

    The same accounts give the same folds, in whatever order.
    """
    names, account_of = np.unique(accounts, return_inverse=True)
    left = np.bincount(account_of, churned, len(names)) > 0
    shuffled = np.random.default_rng(seed).permutation(len(names))
    dealt = np.concatenate([shuffled[left[shuffled]], shuffled[~left[shuffled]]])
    fold_of = np.empty(len(names), np.int64)
    fold_of[dealt] = np.arange(len(names)) % count
    return np.asarray(fold_of[account_of], np.int64)


def out_of_fold(known: Readings, learn: Learner, *, count: int = OUTER_FOLDS, seed: int = 1) -> Array:
    """The scores of all decisions, each by a fit to the accounts of the other folds."""
    fold_of = folds(known.accounts, known.churned, count, seed)
    scores = np.full(len(fold_of), np.nan)
    for fold in range(count):
        held = fold_of == fold
        if held.any():
            scores[held] = learn(known.rows(~held))(known.rows(held))
    return scores


def by_time(known: Readings, learn: Learner, cut: int) -> tuple[Flags, Array]:
    """The decisions from the day `cut` on, and their scores by a fit to what was known before it.

    An outcome counts as known from its own day on, so a decision before the cut with an outcome after it is in neither.
    """
    later = known.days >= cut
    return later, learn(known.rows(known.outcome_days < cut))(known.rows(later))


def usual_cut(known: Readings) -> int:
    """The day after which a third of the outcomes with churn lies: late enough to learn, early enough to judge."""
    return int(np.quantile(known.outcome_days[known.churned], 2 / 3, method="higher"))
