"""Measures of support tickets."""

from collections.abc import Iterable
from statistics import median

from scoring.scorecards.measure import Measure, Missing, Parameters, Value
from scoring.state.account_state import AccountState
from scoring.state.calendar import MICROSECONDS_PER_HOUR, day_of, first_day
from scoring.state.events import OPEN_STATUSES, SOLVED_STATUSES
from scoring.state.tickets import Ticket


def _open(state: AccountState) -> Iterable[Ticket]:
    return (ticket for ticket in state.tickets.tickets.values() if ticket.status in OPEN_STATUSES)


def _solved(state: AccountState, day: int, window: int) -> list[Ticket]:
    first = first_day(day, window)
    return [
        ticket
        for ticket in state.tickets.tickets.values()
        if ticket.status in SOLVED_STATUSES and ticket.solved_at and first <= day_of(ticket.solved_at) <= day
    ]


def open_tickets(p: Parameters) -> Measure:
    """Tickets that are open, of the given priorities."""

    def measure(state: AccountState, day: int) -> Value:
        if not state.tickets.tickets:
            return 0.0
        wanted = p.priorities
        return float(sum(1 for ticket in _open(state) if wanted is None or ticket.priority in wanted))

    return measure


def oldest_open_ticket_days(_: Parameters) -> Measure:
    """Age of the oldest open ticket in days."""

    def measure(state: AccountState, day: int) -> Value:
        if not state.tickets.tickets:
            return 0.0
        return float(max(0, max((day - day_of(ticket.created_at) for ticket in _open(state)), default=0)))

    return measure


def tickets_created(p: Parameters) -> Measure:
    """Tickets created in the window."""

    def measure(state: AccountState, day: int) -> Value:
        first = first_day(day, p.window)
        tickets = state.tickets.tickets.values()
        return float(sum(1 for ticket in tickets if first <= day_of(ticket.created_at) <= day))

    return measure


def resolution_hours(p: Parameters) -> Measure:
    """Median time to solve the tickets solved in the window, in hours."""

    def measure(state: AccountState, day: int) -> Value:
        solved = _solved(state, day, p.window)
        if len(solved) < p.min_n:
            return Missing.TOO_FEW_SOLVED if solved else Missing.NOTHING_SOLVED
        took = [max(ticket.solved_at - ticket.created_at, 0) for ticket in solved]
        return median(took) / MICROSECONDS_PER_HOUR

    return measure


def reopen_rate(p: Parameters) -> Measure:
    """Percentage of the tickets solved in the window that were reopened."""

    def measure(state: AccountState, day: int) -> Value:
        solved = _solved(state, day, p.window)
        if len(solved) < p.min_n:
            return Missing.TOO_FEW_SOLVED if solved else Missing.NOTHING_SOLVED
        return 100.0 * sum(1 for ticket in solved if ticket.reopens > 0) / len(solved)

    return measure


def ticket_satisfaction(p: Parameters) -> Measure:
    """Percentage of good ratings among those of tickets solved in the window."""

    def measure(state: AccountState, day: int) -> Value:
        ratings = [ticket.satisfaction for ticket in _solved(state, day, p.window) if ticket.satisfaction]
        if len(ratings) < p.min_n:
            return Missing.TOO_FEW_RATINGS if ratings else Missing.NO_RATINGS
        return 100.0 * ratings.count("good") / len(ratings)

    return measure
