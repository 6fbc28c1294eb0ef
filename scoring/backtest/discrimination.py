"""The ability of a score to rank those who leave below those who stay: the area under the ROC curve, with its interval.

The area (AUC) is the probability that an account that churned had a lower score than one that stayed; ties count half.
0.5 is chance. An account is decided upon several times, and its decisions resemble each other, so intervals come from
resampling accounts, not decisions (cluster bootstrap: Field and Welsh, "Bootstrapping clustered data", J. R. Stat. Soc.
B 69, 2007).
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 1_000
LOW, HIGH = 2.5, 97.5
"""Percentiles of a 95 % interval."""


class Interval(NamedTuple):
    """An estimate with its 95 % interval."""

    estimate: float
    low: float
    high: float


def auc(scores: ArrayLike, churned: ArrayLike, weights: ArrayLike | None = None) -> float:
    """The area under the ROC curve of `scores`, where low ones should churn; NaN unless there are both outcomes.

    `weights` say how often each decision counts.
    """
    values, left = np.asarray(scores, float), np.asarray(churned, bool)
    counted = np.ones(len(values)) if weights is None else np.asarray(weights, float)
    return _Ranking(values).auc(left, counted)


def auc_interval(scores: ArrayLike, churned: ArrayLike, accounts: Sequence[str], *, seed: int = 0) -> Interval:
    """The AUC with its interval; NaN unless there are both outcomes. The same seed gives the same interval."""
    left = np.asarray(churned, bool)
    ranking = _Ranking(np.asarray(scores, float))
    found = [ranking.auc(left, weights) for weights in _resamples(accounts, seed)]
    return _interval(ranking.auc(left, np.ones(len(left))), found)


def difference_interval(
    scores: ArrayLike, others: ArrayLike, churned: ArrayLike, accounts: Sequence[str], *, seed: int = 0
) -> Interval:
    """By how much the AUC of `scores` exceeds that of `others` on the same decisions, with its interval."""
    left = np.asarray(churned, bool)
    one, other = _Ranking(np.asarray(scores, float)), _Ranking(np.asarray(others, float))
    found = [one.auc(left, weights) - other.auc(left, weights) for weights in _resamples(accounts, seed)]
    every = np.ones(len(left))
    return _interval(one.auc(left, every) - other.auc(left, every), found)


def wilson(hits: int, total: int) -> Interval:
    """The share of hits with its interval (Wilson, J. Am. Stat. Assoc. 22, 1927); NaN of nothing."""
    if total == 0:
        return Interval(np.nan, np.nan, np.nan)
    z, share = 1.959963984540054, hits / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * float(np.sqrt(share * (1 - share) / total + z * z / (4 * total * total)))
    return Interval(share, max(middle - half, 0.0), min(middle + half, 1.0))


class _Ranking:
    """Scores in order, sorted once for many resamples."""

    def __init__(self, values: NDArray[np.float64]) -> None:
        self._order = np.argsort(values, kind="stable")
        ordered = values[self._order]
        self._ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True)) if len(values) else np.array([], int)
        """The last place of each group of equal scores."""

    def auc(self, left: NDArray[np.bool_], weights: NDArray[np.float64]) -> float:
        gone = np.where(left, weights, 0.0)[self._order]
        stayed = np.where(left, 0.0, weights)[self._order]
        if gone.sum() == 0 or stayed.sum() == 0:
            return float("nan")
        stayed_up_to = np.cumsum(stayed)[self._ends]
        gone_here = np.diff(np.cumsum(gone)[self._ends], prepend=0.0)
        stayed_here = np.diff(stayed_up_to, prepend=0.0)
        above = stayed_up_to[-1] - stayed_up_to
        return float((gone_here * (above + stayed_here / 2)).sum() / (gone.sum() * stayed.sum()))


def _resamples(accounts: Sequence[str], seed: int) -> Iterator[NDArray[np.float64]]:
    """The weights of the decisions in each resample: how often their account was drawn.

    One at a time: of 100,000 decisions, all of them are 800 MB.
    """
    names, account_of = np.unique(np.asarray(accounts), return_inverse=True)
    chance = np.random.default_rng(seed)
    for _ in range(RESAMPLES):
        drawn = chance.integers(0, len(names), len(names))
        yield np.bincount(drawn, minlength=len(names))[account_of].astype(np.float64)


def _interval(estimate: float, found: Sequence[float]) -> Interval:
    """The percentiles of the resamples that had both outcomes."""
    known = np.asarray(found)[~np.isnan(found)]
    if np.isnan(estimate) or not len(known):
        return Interval(estimate, np.nan, np.nan)
    low, high = np.percentile(known, [LOW, HIGH])
    return Interval(estimate, float(low), float(high))
