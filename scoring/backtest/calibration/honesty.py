"""The limits of what a calibration may say, given how many accounts churned, and whether to recommend it."""

from collections.abc import Mapping

import numpy as np
from msgspec import Struct

from scoring.backtest.discrimination import Interval

LEAST_TO_FIT, LEAST_FOR_FEATURES, LEAST_FOR_PROBABILITIES = 10, 20, 40
"""Accounts that churned from which there is a fit, one that isn't provisional, and probabilities."""


class Limits(Struct, frozen=True):
    """The limits by the number of accounts that churned."""

    churned_accounts: int

    @property
    def fits(self) -> bool:
        """True if there may be a fit at all."""
        return self.churned_accounts >= LEAST_TO_FIT

    @property
    def provisional(self) -> bool:
        """True if a fit is provisional, and single features are no candidates."""
        return self.churned_accounts < LEAST_FOR_FEATURES

    @property
    def probabilities(self) -> bool:
        """True if scores may be shown as probabilities."""
        return self.churned_accounts >= LEAST_FOR_PROBABILITIES


class Verdict(Struct, frozen=True):
    """The advice to publish a calibrated scorecard or not, and the reason, in words for its owner."""

    recommended: bool
    sentence: str


def judge(limits: Limits, differences: Mapping[str, Interval], later: Mapping[str, Interval]) -> Verdict:
    """The verdict on a scorecard, from the differences of its AUC to those of what it would replace, by their names.

    `differences` are of accounts that it wasn't fitted to. `later` are of a fit to the past alone, on what came after;
    they are of fewer outcomes, and forbid only what they contradict.
    """
    churned = limits.churned_accounts
    if not limits.fits:
        return Verdict(False, _too_few(churned))
    if (undecided := next((each for each in differences.items() if not each[1].low > 0), None)) is not None:
        return Verdict(False, f"Don't publish it yet: {_undecided(*undecided)}")
    if worse := [other for other, difference in later.items() if difference.estimate < 0]:
        return Verdict(
            False,
            "Don't publish it yet: fitted to the earlier outcomes alone, it ranks the later ones worse than "
            f"{worse[0]} does. What it learned may be over",
        )
    if limits.provisional:
        return Verdict(
            False,
            f"Provisional: it ranks those who leave better than {_listed(differences)}, but it has seen only {churned} "
            f"accounts leave. Calibrate again once there are {LEAST_FOR_FEATURES}",
        )
    if not differences:
        return Verdict(False, "It was compared with nothing, so nobody knows whether it is better")
    least = min(difference.estimate for difference in differences.values())
    return Verdict(
        True,
        f"Publish it: on accounts it wasn't fitted to, it ranks those who leave better than {_listed(differences)}, "
        f"by at least {least:.2f} on a scale where chance is 0.50 and certainty 1.00",
    )


def _too_few(churned: int) -> str:
    seen = {0: "No account has left", 1: "Only one account has left"}.get(churned, f"Only {churned} accounts have left")
    return (
        f"{seen}, and from fewer than {LEAST_TO_FIT} nothing can be learned: any pattern would be chance. "
        "Use `account-health scorecard adapt`, which needs no outcomes"
    )


def _undecided(other: str, difference: Interval) -> str:
    if np.isnan(difference.low):
        return f"there are too few outcomes to compare it with {other}"
    if difference.high < 0:
        return f"it ranks those who leave worse than {other} does"
    return (
        f"the outcomes don't show that it ranks those who leave better than {other} does. The difference is "
        f"{difference.estimate:+.2f}, and chance alone could make it anything from {difference.low:+.2f} to "
        f"{difference.high:+.2f}"
    )


def _listed(differences: Mapping[str, Interval]) -> str:
    return " and ".join(differences)
