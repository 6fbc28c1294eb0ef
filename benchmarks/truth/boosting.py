"""Gradient boosting on all candidates: the yardstick of what the readings hold, without a scorecard's limits."""

import lightgbm
import numpy as np

from scoring.backtest.calibration.folds import Scorer
from scoring.backtest.calibration.readings import Readings

SETTINGS = {
    "objective": "binary",
    "learning_rate": 0.03,
    "num_leaves": 7,
    "min_data_in_leaf": 30,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "lambda_l2": 5.0,
    "seed": 0,
    "deterministic": True,
    "num_threads": 2,
    "verbosity": -1,
}
ROUNDS = 200


def learn(known: Readings) -> Scorer:
    """Fit LightGBM; its scores are the negative log-odds of churn."""
    data = lightgbm.Dataset(known.values, known.churned.astype(float))
    model = lightgbm.train(SETTINGS, data, ROUNDS)
    return lambda readings: -np.asarray(model.predict(readings.values, raw_score=True), float)
