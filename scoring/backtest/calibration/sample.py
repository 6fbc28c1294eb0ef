"""A sample of the decisions for a fit that would need more memory and time than it is worth.

What a fit learns is bounded by those who leave, who are few: they are kept, and of those who stayed a sample. The
slopes of a logistic regression don't depend on the share of either outcome; only its constant has to be moved to that
of all decisions (King and Zeng, "Logistic regression in rare events data", Political Analysis 9, 2001).
"""

from math import log
from typing import NamedTuple

import numpy as np

from scoring.backtest.calibration.readings import Readings, Rows

MOST_DECISIONS = 20_000


class Sample(NamedTuple):
    """Some of the decisions, and the constant by which the log-odds of staying are higher among all of them."""

    known: Readings
    constant: float


def sample(known: Readings, *, most: int = MOST_DECISIONS, seed: int = 0) -> Sample:
    """At most so many decisions: those that churned, unless they are more than half. The same seed gives the same."""
    gone, stayed = np.flatnonzero(known.churned), np.flatnonzero(~known.churned)
    if len(gone) + len(stayed) <= most:
        return Sample(known, 0.0)
    kept_gone = min(len(gone), max(most // 2, most - len(stayed)))
    kept_stayed = most - kept_gone
    chance = np.random.default_rng(seed)
    rows = np.concatenate([_some(gone, kept_gone, chance), _some(stayed, kept_stayed, chance)])
    return Sample(known.rows(np.sort(rows)), log(len(stayed) / kept_stayed) - log(len(gone) / kept_gone))


def _some(rows: Rows, count: int, chance: np.random.Generator) -> Rows:
    return chance.choice(rows, count, replace=False)
