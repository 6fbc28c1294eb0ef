"""Drift of a calibration: what is expected and observed, without false alarms where few leave."""

from datetime import date
from math import sqrt
from random import Random

import pytest

from scoring.backtest.calibration_drift import LEAST_EXPECTED, ExpectedChurn, finished_months

DRAWS = 1_000


def churn_of(probabilities: list[float], observed: int) -> ExpectedChurn:
    variance = sum(each * (1 - each) for each in probabilities)
    return ExpectedChurn(len(probabilities), sum(probabilities), variance, observed)


def drawn(random: Random, accounts: int, times: float) -> ExpectedChurn:
    """A month in which accounts leave so many times as often as the calibration says."""
    probabilities = [random.choice([0.005, 0.02, 0.1, 0.3]) for _ in range(accounts)]
    return churn_of(probabilities, sum(random.random() < each * times for each in probabilities))


def test_it_is_the_difference_in_standard_deviations() -> None:
    assert churn_of([0.1] * 100, 10).drift == pytest.approx(0)
    assert churn_of([0.1] * 100, 19).drift == pytest.approx(9 / sqrt(9))
    assert churn_of([0.5] * 100, 40).drift == pytest.approx(-10 / 5)


def test_months_add_up() -> None:
    months = [churn_of([0.1] * 100, 12), churn_of([0.3] * 10, 3)]
    both, together = months[0] + months[1], churn_of([0.1] * 100 + [0.3] * 10, 15)
    assert (both.accounts, both.observed) == (together.accounts, together.observed)
    assert (both.expected, both.variance) == pytest.approx((together.expected, together.variance))
    assert months[0] + ExpectedChurn() == months[0]


@pytest.mark.parametrize(
    "churn",
    [
        ExpectedChurn(),
        churn_of([0.1] * 49, 20),
        churn_of([0.9] * 49, 20),
        churn_of([0.0] * 1000, 7),
        churn_of([1.0] * 1000, 7),
    ],
)
def test_of_few_there_is_none(churn: ExpectedChurn) -> None:
    assert churn.drift is None
    assert churn_of([LEAST_EXPECTED / 64] * 64, 20).drift is not None


@pytest.mark.parametrize("accounts", [10, 60, 120, 500])
def test_a_true_calibration_rarely_drifts_by_three(accounts: int) -> None:
    random = Random(accounts)
    drifts = [drawn(random, accounts, 1).drift for _ in range(DRAWS)]
    assert sum(drift is not None and abs(drift) > 3 for drift in drifts) <= 0.008 * DRAWS


@pytest.mark.parametrize("times", [2.2, 0.1])
def test_one_that_is_far_off_is_found(times: float) -> None:
    random = Random(7)
    drifts = [drawn(random, 300, times).drift for _ in range(DRAWS)]
    assert sum(drift is not None and abs(drift) > 3 for drift in drifts) > 0.95 * DRAWS


def test_a_month_is_finished_two_weeks_after_its_end() -> None:
    assert finished_months(date(2026, 6, 15)) == [date(2026, 5, 1), date(2026, 4, 1), date(2026, 3, 1)]
    assert finished_months(date(2026, 6, 14))[0] == date(2026, 4, 1)
    assert finished_months(date(2026, 1, 15)) == [date(2025, 12, 1), date(2025, 11, 1), date(2025, 10, 1)]
    assert finished_months(date(2026, 3, 31))[0] == date(2026, 2, 1)
