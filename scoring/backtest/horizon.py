"""Decisions on a regular beat, for accounts without renewals: does the account leave within so many days?

The log is cut into windows of `horizon_days` days, which end with its last day. An account is looked at `lead_days`
before each, and has churned if it left within the window. So an account counts once per window, however often others
renew, and each day of the log decides in one window at the most.
"""

from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple

from scoring.backtest.outcomes import (
    BEFORE_FIRST_EVENT,
    UNKNOWN_ACCOUNT,
    Decision,
    Decisions,
    LeftOut,
    Lifetime,
    Outcome,
    decide,
)

TOO_SHORT = "no whole window lies between the account's first event and the day up to which its outcome is known"


class Timing(NamedTuple):
    """The time of decisions: so many days before each outcome, or, with a horizon, before each window of the log."""

    lead_days: int
    horizon_days: int | None = None

    def decide(self, outcomes: Sequence[Outcome], lifetimes: Mapping[str, Lifetime], log_ends: int) -> Decisions:
        """The decisions; raises `OutcomesError` if an account has two outcomes on one day that differ."""
        if self.horizon_days is None:
            return decide(outcomes, lifetimes, log_ends, lead_days=self.lead_days)
        return decide_by_horizon(
            outcomes, lifetimes, log_ends, lead_days=self.lead_days, horizon_days=self.horizon_days
        )


def decide_by_horizon(
    outcomes: Sequence[Outcome], lifetimes: Mapping[str, Lifetime], log_ends: int, *, lead_days: int, horizon_days: int
) -> Decisions:
    """The decisions about each account in `outcomes` up to its last one, after which nothing is known of it.

    An account that left between a decision and its window isn't decided on: it was too late. `outcomes` don't
    contradict each other on a day. `log_ends` is the last day of the log; both numbers of days are at least 1.
    """
    made: list[Decision] = []
    left_out: list[LeftOut] = []
    ends: dict[str, Outcome] = {}
    for outcome in sorted(outcomes, key=attrgetter("account_id", "day")):
        ends[outcome.account_id] = outcome
    for account, end in ends.items():
        lifetime = lifetimes.get(account)
        if lifetime is None:
            left_out.append(LeftOut(end, UNKNOWN_ACCOUNT))
            continue
        its = list(_decisions(end, lifetime, log_ends, lead_days, horizon_days))
        made += reversed(its)
        if not its:
            early = end.day - lead_days < lifetime.first
            left_out.append(LeftOut(end, BEFORE_FIRST_EVENT if early else TOO_SHORT))
    return Decisions(made, left_out)


def _decisions(
    end: Outcome, lifetime: Lifetime, log_ends: int, lead_days: int, horizon_days: int
) -> Iterator[Decision]:
    """The account's decisions, the last one first."""
    last = log_ends
    while (day := last - horizon_days + 1 - lead_days) >= lifetime.first:
        first = last - horizon_days + 1
        if end.churned and first <= end.day <= last:
            yield Decision(end.account_id, day, end)
        elif end.day > last or (end.day == last and not end.churned):
            yield Decision(end.account_id, day, Outcome(end.account_id, last, churned=False))
        last -= horizon_days
