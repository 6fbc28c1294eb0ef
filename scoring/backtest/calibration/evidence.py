"""The evidence for a score: its AUC beside those of others, and within strata of tenure. None of it is in-sample."""

from collections.abc import Mapping

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from scoring.backtest.calibration.readings import Flags, Readings
from scoring.backtest.calibration.solver import Array
from scoring.backtest.discrimination import Interval, auc_interval, difference_interval

STRATA = 3


class Evidence(Struct, frozen=True):
    """The AUC of a score on decisions that it wasn't fitted to, and of others on the same ones.

    `differences` are by how much it exceeds the others.
    """

    decisions: int
    churned: int
    auc: Interval
    others: dict[str, Interval] = field(default_factory=dict)
    differences: dict[str, Interval] = field(default_factory=dict)


class Stratum(Struct, frozen=True):
    """The AUC among accounts of a similar tenure in days, both ends included.

    Young accounts leave more often, so a score that only knows the age ranks well, and tells nothing within a stratum.
    """

    shortest: int
    longest: int
    decisions: int
    churned: int
    auc: Interval


def evidence(scores: Array, others: Mapping[str, Array], known: Readings) -> Evidence:
    """The evidence that `scores` rank those who leave below the others. All scores are of the decisions in `known`."""
    left, accounts = known.churned, known.accounts.tolist()
    return Evidence(
        len(left),
        int(left.sum()),
        auc_interval(scores, left, accounts),
        {name: auc_interval(each, left, accounts) for name, each in others.items()},
        {name: difference_interval(scores, each, left, accounts) for name, each in others.items()},
    )


def tenure_strata(scores: Array, tenures: NDArray[np.int64], known: Readings) -> list[Stratum]:
    """The AUC in thirds of the decisions by tenure in days; equal tenures are never parted."""
    if not len(tenures):
        return []
    edges = np.unique(np.quantile(tenures, np.arange(1, STRATA) / STRATA, method="higher"))
    stratum_of = np.searchsorted(edges, tenures, side="right")
    return [_stratum(stratum_of == each, scores, tenures, known) for each in np.unique(stratum_of)]


def _stratum(mine: Flags, scores: Array, tenures: NDArray[np.int64], known: Readings) -> Stratum:
    left, own = known.churned[mine], tenures[mine]
    interval = auc_interval(scores[mine], left, known.accounts[mine].tolist())
    return Stratum(int(own.min()), int(own.max()), len(left), int(left.sum()), interval)
