"""Made-up readings for calibrations, with effects that are planted."""

from collections.abc import Sequence

import numpy as np

from scoring.backtest.calibration.candidates import Candidate
from scoring.backtest.calibration.readings import Flags, Matrix, Readings, readings
from scoring.backtest.outcomes import Decision, Outcome

HELPS = Candidate("active_days", 28)
HARMS = Candidate("days_since_last_use")
BAD_FEATURE = Candidate("usage_volume", 28, "cancel_page")
GOOD_FEATURE = Candidate("usage_volume", 28, "report")
NOISE = [Candidate("active_users", 7), Candidate("tenure_days"), Candidate("usage_volume", 14, "report")]
CANDIDATES = [HELPS, HARMS, BAD_FEATURE, GOOD_FEATURE, *NOISE]


def portfolio(
    accounts: int,
    effects: Sequence[float] = (1.5, 1.0, 1.5, 0.0),
    *,
    churning: int | None = None,
    missing: float = 0.0,
    each: int = 2,
    seed: int = 0,
) -> Readings:
    """Accounts with some decisions each. `effects` are the log-odds that a deviation of the first candidates moves.

    The decisions at highest risk churn, with chance: as many as `churning`, a tenth by default, each of an account of
    its own.
    """
    chance = np.random.default_rng(seed)
    rows = accounts * each
    drawn = chance.normal(size=(rows, len(CANDIDATES)))
    signs = np.array([-1.0, 1.0, 1.0, -1.0])
    risk = drawn[:, :4] @ (signs * np.array(effects)) + chance.logistic(size=rows)
    churned = np.zeros(rows, bool)
    last = np.arange(each - 1, rows, each)
    churned[last[np.argsort(-risk[last])[: accounts // 10 if churning is None else churning]]] = True
    values = np.round(np.exp(drawn / 2) * 10, 2)
    values[chance.random(values.shape) < missing] = np.nan
    return as_readings(values, churned, each)


def as_readings(values: Matrix, churned: Flags, each: int = 1) -> Readings:
    """Readings of accounts with as many decisions each, 30 days apart."""
    decisions = [
        Decision(name := f"account-{row // each:05d}", day, Outcome(name, day + 3, bool(left)))
        for row, left in enumerate(churned.tolist())
        for day in [18_000 + 30 * (row % each) + (row // each) % 30]
    ]
    return readings(CANDIDATES[: values.shape[1]], decisions, values.tolist())
