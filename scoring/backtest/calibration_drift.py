"""Drift of a calibration: whether as many accounts leave as it expects, month by month. Pure.

Each account that is expected to leave with probability p is a trial of its own. Of n of them, sum(p) leave in the mean,
with a variance of sum(p (1 - p)), however the probabilities differ (Hoeffding, "On the distribution of the number of
successes in independent trials", Ann. Math. Statist. 27, 1956). The drift is the difference in standard deviations,
known as Flora's Z ("A method for comparing survival of burn patients to a standard survival curve", J. Trauma 18,
1978).
"""

from datetime import date, timedelta
from math import sqrt

from msgspec import Struct

from scoring.backtest.attribute_outcomes import SAME_END_DAYS

DRIFT_MONTHS = 3
"""Finished months that are taken together: one of a small portfolio has too few that leave."""
LEAST_EXPECTED = 5.0
"""Accounts that must be expected to leave, and to stay: with fewer, the normal distribution is no measure (Cochran,
"Some methods for strengthening the common chi-squared tests", Biometrics 10, 1954).
"""


class ExpectedChurn(Struct, frozen=True):
    """Accounts with an outcome: how many were expected to leave, the variance of that number, and how many left."""

    accounts: int = 0
    expected: float = 0.0
    variance: float = 0.0
    observed: int = 0

    def __add__(self, other: "ExpectedChurn") -> "ExpectedChurn":
        """Those of both."""
        return ExpectedChurn(
            self.accounts + other.accounts,
            self.expected + other.expected,
            self.variance + other.variance,
            self.observed + other.observed,
        )

    @property
    def drift(self) -> float | None:
        """The standard deviations by which more left than expected, negative if fewer did; None for too few accounts.

        Without drift, it is within -3 to 3 in all but a few of a thousand cases.
        """
        if min(self.expected, self.accounts - self.expected) < LEAST_EXPECTED or self.variance <= 0:
            return None
        return (self.observed - self.expected) / sqrt(self.variance)


def finished_months(today: date) -> list[date]:
    """The first days of the last `DRIFT_MONTHS` finished months, the most recent one first.

    A month is finished when `SAME_END_DAYS` have passed after it: until then accounts may leave at one of its renewals.
    """
    months = [month_before(today - timedelta(days=SAME_END_DAYS))]
    while len(months) < DRIFT_MONTHS:
        months.append(month_before(months[-1]))
    return months


def month_before(day: date) -> date:
    """The first day of the month before that of `day`."""
    return (day.replace(day=1) - timedelta(days=1)).replace(day=1)
