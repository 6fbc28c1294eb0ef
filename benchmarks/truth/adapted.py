"""A scorecard adapted to a portfolio, learned like a fit: from the readings of some decisions, for those of others.

It takes no outcomes, so what it is honest about is the portfolio: how much the others use the product.
"""

from collections.abc import Sequence

import numpy as np

from scoring.backtest.calibration.folds import Learner, Scorer
from scoring.backtest.calibration.readings import Matrix, Readings
from scoring.backtest.calibration.solver import Array
from scoring.scorecards.measure import Missing, Value
from scoring.scorecards.scorecard import NEUTRAL, Scorecard, compile_scorecard, score
from scoring.whatif.adapt import adapt


def as_values(rows: Sequence[Sequence[Value]]) -> Matrix:
    """Readings by a scorecard as numbers, NaN where one is missing."""
    return np.array([[np.nan if isinstance(value, Missing) else value for value in row] for row in rows], float)


def learner(card: Scorecard) -> Learner:
    """Adapts the scorecard to decisions whose values are its own readings, in its order."""

    def learn(known: Readings) -> Scorer:
        adapted = compile_scorecard(adapt(card.document, _rows(known.values)).document, card.version)
        return lambda readings: scores_by(adapted, _rows(readings.values))

    return learn


def scores_by(card: Scorecard, rows: Sequence[list[Value]]) -> Array:
    """The scores of readings; none is neutral."""
    found = [score(row, card, 0).score for row in rows]
    return np.array([NEUTRAL if each is None else each for each in found], float)


def _rows(values: Matrix) -> list[list[Value]]:
    """Readings without the reason why a value is missing: no score depends on it."""
    return [[Missing.NO_USAGE if value != value else value for value in row] for row in values.tolist()]
