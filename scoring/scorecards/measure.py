"""A measure: one dimension of health, computed from an account's state at a day.

A measure's value is a float, or `Missing` with a reason. Zero isn't missing: an account that used the product once and
doesn't now has 0 active users; one that never did has none to count.

Times come from other systems, and may contradict each other or lie after the day. No measure returns an impossible
value because of that: a negative duration counts as none.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from scoring.state.account_state import AccountState

MeasureSignal = Literal["usage", "tickets", "surveys", "attributes"]
Direction = Literal["high", "low"]
"""The values of a measure that are better."""


class Missing(Enum):
    """The reason why a measure has no value."""

    NO_USAGE = "no_usage_ever"
    NO_SEATS = "no_seats"
    NO_EARLIER_USAGE = "no_usage_before"
    TOO_YOUNG = "too_young"
    TOO_FEW_DAYS = "too_few_active_days"
    NOTHING_SOLVED = "no_tickets_solved"
    TOO_FEW_SOLVED = "too_few_tickets_solved"
    NO_RATINGS = "no_ratings"
    TOO_FEW_RATINGS = "too_few_ratings"
    NO_ANSWERS = "no_answers"
    TOO_FEW_ANSWERS = "too_few_answers"
    NO_SURVEY = "no_survey_ever"
    NO_START = "no_start_date"
    NO_RENEWAL = "no_renewal_date"

    # Members are singletons. An enumeration's own hash is a call of Python, and every score looks members up.
    __hash__ = object.__hash__


Value = float | Missing
Measure = Callable[[AccountState, int], Value]


@dataclass(frozen=True, slots=True)
class Parameters:
    """The options of a measure on a scorecard; `window` is in days, None stands for "not given" or "all".

    `min_n` is the smallest number of answers, tickets or days from which the measure is computed.
    """

    window: int = 1
    features: frozenset[str] | None = None
    priorities: frozenset[str] | None = None
    min_n: int = 1


@dataclass(frozen=True, slots=True)
class Definition:
    """A catalogue entry: the measure's factory, the parameters it takes, and the signals it reads."""

    build: Callable[[Parameters], Measure]
    signals: frozenset[MeasureSignal]
    windows: int = 0
    """The number of windows it looks back; 0 if it takes none."""
    takes_features: bool = False
    takes_priorities: bool = False
    least_n: int = 0
    """The lowest `min_n`, which is the default; 0 if it takes none."""
    better: Direction = "high"
    """The end that is healthy where nothing else is known. Of a single feature either may be: some are only used by
    those who are about to leave.
    """
    attributes: frozenset[str] = frozenset()
    """The attributes that it reads. Some are written because an account leaves."""
