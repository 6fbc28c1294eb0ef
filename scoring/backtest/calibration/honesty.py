"""The limits of what a calibration may say, given how many accounts churned, and whether to recommend it."""

from collections.abc import Mapping

import numpy as np
from msgspec import Struct

from scoring.backtest.discrimination import Interval

EARLIER = "fitted to the earlier outcomes alone and tried on the later ones, "
OVER = ". What it learned may be over"
LEAST_TO_FIT, LEAST_FOR_FEATURES, LEAST_FOR_PROBABILITIES = 10, 20, 40
"""Accounts that churned from which there is a fit, one that isn't provisional, and probabilities.

As many must have stayed for there to be a fit.
"""


class Limits(Struct, frozen=True):
    """The limits by the numbers of accounts that churned, and that stayed at least once."""

    churned_accounts: int
    stayed_accounts: int

    @property
    def fits(self) -> bool:
        """True if there may be a fit at all."""
        return min(self.churned_accounts, self.stayed_accounts) >= LEAST_TO_FIT

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


def judge(limits: Limits, differences: Mapping[str, Interval], later: Mapping[str, Interval] | None) -> Verdict:
    """The verdict on a scorecard, from the differences of its AUC to those of what it would replace, by their names.

    `differences` are of accounts that it wasn't fitted to. `later` are of a fit to the past alone, on what came after;
    None if there were too few outcomes for that. It is recommended only if no interval of either includes 0.
    """
    churned = limits.churned_accounts
    if not limits.fits:
        return Verdict(False, _too_few(limits))
    if (undecided := _first_undecided(differences)) is not None:
        return Verdict(False, f"Don't publish it yet: {_undecided(*undecided, '')}")
    if limits.provisional:
        return Verdict(
            False,
            f"Provisional: it ranks those who leave better than {_listed(differences)}, but it has seen only {churned} "
            f"accounts leave. Calibrate again once there are {LEAST_FOR_FEATURES}",
        )
    if later is None:
        return Verdict(
            False,
            "Don't publish it yet: the outcomes are too few, or too close together, to learn from the earlier ones and "
            "try it on the later ones, as it will be used",
        )
    if (undecided := _first_undecided(later)) is not None:
        return Verdict(False, f"Don't publish it yet: {_undecided(*undecided, EARLIER)}")
    if not differences:
        return Verdict(False, "It was compared with nothing, so nobody knows whether it is better")
    least = min(difference.estimate for difference in [*differences.values(), *later.values()])
    return Verdict(
        True,
        "Publish it: on accounts that it wasn't fitted to, and on outcomes later than those it was fitted to, it ranks "
        f"those who leave better than {_listed(differences)}, by at least {least:.2f} on a scale where chance is 0.50 "
        "and certainty 1.00",
    )


def _too_few(limits: Limits) -> str:
    seen, verb = limits.churned_accounts, "left"
    if seen >= LEAST_TO_FIT:
        seen, verb = limits.stayed_accounts, "stayed"
    said = {0: f"No account has {verb}", 1: f"Only one account has {verb}"}
    return (
        f"{said.get(seen, f'Only {seen} accounts have {verb}')}, and from fewer than {LEAST_TO_FIT} nothing can be "
        "learned: any pattern would be chance. Use `account-health scorecard adapt`, which needs no outcomes"
    )


def _first_undecided(differences: Mapping[str, Interval]) -> tuple[str, Interval] | None:
    return next((each for each in differences.items() if not each[1].low > 0), None)


def _undecided(other: str, difference: Interval, learned: str) -> str:
    if np.isnan(difference.low):
        return f"there are too few outcomes to compare it with {other}"
    if difference.high < 0:
        return f"{learned}it ranks those who leave worse than {other} does{OVER if learned else ''}"
    return (
        f"{learned}it isn't shown to rank those who leave better than {other} does. The difference is "
        f"{difference.estimate:+.2f}, and chance alone could make it anything from {difference.low:+.2f} to "
        f"{difference.high:+.2f}"
    )


def _listed(differences: Mapping[str, Interval]) -> str:
    return " and ".join(differences)
