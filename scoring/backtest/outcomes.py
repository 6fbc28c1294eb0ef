"""Outcomes, and the decisions that a back-test makes before them.

An outcome is a renewal, or the day on which an account left. A decision looks at the account `lead_days` before it, and
knows nothing of what came after. Its outcome must lie within the log: an account whose outcome is still to come hasn't
stayed.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from scoring.state.calendar import from_day

UNKNOWN_ACCOUNT = "the log has no event of this account"
BEFORE_FIRST_EVENT = "the account had no event yet on the day of the decision"


class Outcome(NamedTuple):
    """The end of a term: the account churned on that day, or stayed (renewed)."""

    account_id: str
    day: int
    churned: bool


class Lifetime(NamedTuple):
    """The days of an account's first and last event."""

    first: int
    last: int


class Decision(NamedTuple):
    """A day on which an account is looked at, and what became of it."""

    account_id: str
    day: int
    outcome: Outcome


class LeftOut(NamedTuple):
    """An outcome without a decision, and the reason."""

    outcome: Outcome
    reason: str


class Decisions(NamedTuple):
    """The decisions in order of account and day, and the outcomes that have none."""

    made: list[Decision]
    left_out: list[LeftOut]


class OutcomesError(ValueError):
    """Outcomes that contradict themselves, with what to do."""


def decide(
    outcomes: Sequence[Outcome], lifetimes: Mapping[str, Lifetime], log_ends: int, *, lead_days: int
) -> Decisions:
    """The decisions before `outcomes`. `log_ends` is the last day of the log, `lead_days` is at least 1.

    Raises `OutcomesError` if an account has two outcomes on one day that differ.
    """
    made: list[Decision] = []
    left_out: list[LeftOut] = []
    for outcome in sorted(_once(outcomes)):
        day = outcome.day - lead_days
        lifetime = lifetimes.get(outcome.account_id)
        if lifetime is None:
            left_out.append(LeftOut(outcome, UNKNOWN_ACCOUNT))
        elif outcome.day > log_ends:
            left_out.append(LeftOut(outcome, "it lies after the end of the log"))
        elif day < lifetime.first:
            left_out.append(LeftOut(outcome, BEFORE_FIRST_EVENT))
        else:
            made.append(Decision(outcome.account_id, day, outcome))
    return Decisions(made, left_out)


def _once(outcomes: Sequence[Outcome]) -> set[Outcome]:
    """Outcomes without repetitions; raises `OutcomesError` if an account both churned and stayed on a day."""
    found: dict[tuple[str, int], Outcome] = {}
    for outcome in outcomes:
        known = found.setdefault((outcome.account_id, outcome.day), outcome)
        if known.churned != outcome.churned:
            raise OutcomesError(
                f"Account {outcome.account_id} both churned and stayed on {from_day(outcome.day)}. "
                "Keep one of the two rows"
            )
    return set(found.values())
