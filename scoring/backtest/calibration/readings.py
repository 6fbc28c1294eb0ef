"""Readings: the candidates' values on the day of each decision, from the events up to that day alone."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scoring.backtest.calibration.candidates import Candidate, distinct, read, usable
from scoring.backtest.outcomes import Decision
from scoring.backtest.replay import received_at_once
from scoring.history.day_by_day import with_due_pending
from scoring.state.account_state import AccountState, fold
from scoring.state.calendar import start_of
from scoring.state.events import Event

Matrix = NDArray[np.floating]
Flags = NDArray[np.bool_]
Rows = NDArray[np.int64]


class Readings(NamedTuple):
    """A row per decision, in order of account and day, and a column per candidate; NaN where a value is missing.

    `days` are those of the decisions, `outcome_days` those on which it was known what became of them.
    """

    candidates: list[Candidate]
    values: Matrix
    churned: Flags
    accounts: NDArray[np.str_]
    days: NDArray[np.int64]
    outcome_days: NDArray[np.int64]

    def rows(self, chosen: Flags | Rows) -> "Readings":
        """The readings of some decisions."""
        return Readings(
            self.candidates,
            self.values[chosen],
            self.churned[chosen],
            self.accounts[chosen],
            self.days[chosen],
            self.outcome_days[chosen],
        )

    def columns(self, chosen: Sequence[int]) -> "Readings":
        """The readings of some candidates."""
        return self._replace(candidates=[self.candidates[each] for each in chosen], values=self.values[:, chosen])

    @property
    def churned_accounts(self) -> int:
        """The number of accounts that churned: decisions of one account are one piece of evidence."""
        return len(np.unique(self.accounts[self.churned]))

    @property
    def stayed_accounts(self) -> int:
        """The number of accounts that stayed at least once."""
        return len(np.unique(self.accounts[~self.churned]))


def readings(candidates: Sequence[Candidate], decisions: Sequence[Decision], values: ArrayLike) -> Readings:
    """The readings of decisions, sorted, without candidates that say the same as another, or nothing.

    `values` has a row for each decision and a column for each candidate; single precision is kept, as it takes half of
    the memory. Raises `CandidatesError` if a candidate knows the outcome.
    """
    order = sorted(range(len(decisions)), key=lambda row: decisions[row])
    chosen = [decisions[row] for row in order]
    found = Readings(
        usable(candidates),
        _matrix(values, len(candidates))[order],
        np.array([each.outcome.churned for each in chosen], bool),
        np.array([each.account_id for each in chosen], str),
        np.array([each.day for each in chosen], np.int64),
        np.array([each.outcome.day for each in chosen], np.int64),
    )
    return found.columns(distinct(found.values))


def _matrix(values: ArrayLike, columns: int) -> Matrix:
    given = np.asarray(values)
    matrix = given if given.dtype == np.float32 else given.astype(np.float64)
    return matrix.reshape(-1, columns)


def read_account(
    events: Sequence[Event], candidates: Sequence[Candidate], days: Sequence[int], retention: int
) -> list[list[float]]:
    """The candidates' values of one account at the end of each of `days`, which rise; NaN where one is missing.

    Raises `CandidatesError` if a candidate knows the outcome.
    """
    readers = [candidate.reader() for candidate in usable(candidates)]
    return [read(readers, state, day) for state, day in zip(states_at(events, days, retention), days, strict=True)]


def states_at(events: Sequence[Event], days: Sequence[int], retention: int) -> Iterator[AccountState]:
    """The state of one account at the end of each of `days`, which rise; each is good until the next is taken.

    Events count on their own days, as in a replay, and those after a day don't matter to it.
    """
    ordered = sorted(events, key=attrgetter("at"))
    state, folded = AccountState(), 0
    for day in days:
        upto = bisect_left(ordered, start_of(day + 1), folded, key=attrgetter("at"))
        if batch := [received_at_once(event) for event in ordered[folded:upto]]:
            fold(state, batch, retention)
        folded = upto
        yield with_due_pending(state, day)
