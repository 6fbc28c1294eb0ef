"""The measure catalogue: one dimension of health each, computed from an account's state at a day.

A measure's value is a float, or `Missing` with a reason. Zero isn't missing: an account that used the product once and
doesn't now has 0 active users; one that never did has none to count.

Times come from other systems, and may contradict each other or lie after the day. No measure returns an impossible
value because of that: a negative duration counts as none.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from operator import sub
from statistics import median
from typing import Literal

from scoring.state.account_state import AccountState
from scoring.state.calendar import MICROSECONDS_PER_HOUR, day_of, first_day, to_day_text
from scoring.state.distinct_sample import estimate
from scoring.state.events import OPEN_STATUSES, SOLVED_STATUSES
from scoring.state.surveys import SurveyAnswer
from scoring.state.tickets import Ticket

MeasureSignal = Literal["usage", "tickets", "surveys", "attributes"]
RHYTHM_DAYS = 92
"""Days before today from which `silence_ratio` takes the account's own rhythm."""


class Missing(Enum):
    """The reason why a measure has no value."""

    NO_USAGE = "no_usage_ever"
    NO_SEATS = "no_seats"
    NO_EARLIER_USAGE = "no_usage_before"
    TOO_FEW_DAYS = "too_few_active_days"
    NOTHING_SOLVED = "no_tickets_solved"
    NO_RATINGS = "no_ratings"
    NO_ANSWERS = "no_answers"
    NO_SURVEY = "no_survey_ever"
    NO_START = "no_start_date"
    NO_RENEWAL = "no_renewal_date"


Value = float | Missing
Measure = Callable[[AccountState, int], Value]


@dataclass(frozen=True, slots=True)
class Parameters:
    """The options of a measure on a scorecard; `window` is in days, None stands for "not given" or "all"."""

    window: int = 1
    features: frozenset[str] | None = None
    priorities: frozenset[str] | None = None


# --- usage ------------------------------------------------------------------------------------------------------


def _active_users(p: Parameters) -> Measure:
    def measure(state: AccountState, day: int) -> Value:
        usage = state.usage
        if usage.last_day < 0:
            return Missing.NO_USAGE
        first = first_day(day, p.window)
        kept = sum([1 for last in usage.users.values() if last >= first])
        return float(estimate(kept, usage.users_below))

    return measure


def _active_days(p: Parameters) -> Measure:
    def measure(state: AccountState, day: int) -> Value:
        if state.usage.last_day < 0:
            return Missing.NO_USAGE
        days = list(state.usage.days)
        return float(bisect_right(days, day) - bisect_left(days, first_day(day, p.window)))

    return measure


def _seat_utilization(p: Parameters) -> Measure:
    active_users = _active_users(p)

    def measure(state: AccountState, day: int) -> Value:
        seats = state.attributes.value("seats")
        if not isinstance(seats, int) or seats <= 0:
            return Missing.NO_SEATS
        users = active_users(state, day)
        return users if isinstance(users, Missing) else 100.0 * users / seats

    return measure


def _volumes(state: AccountState, first: int, middle: int, features: frozenset[str] | None) -> tuple[int, int]:
    """The quantity from `first` to before `middle`, and from `middle` on."""
    if features is None:
        return _totals(state.usage.days, first, middle)
    totals = [_totals(state.usage.features.get(feature, {}), first, middle) for feature in features]
    return sum([before for before, _ in totals]), sum([after for _, after in totals])


def _totals(counts: dict[int, int], first: int, middle: int) -> tuple[int, int]:
    days, quantities = list(counts), list(counts.values())  # in order, as the fold keeps them
    split = bisect_left(days, middle)
    return sum(quantities[bisect_left(days, first) : split]), sum(quantities[split:])


def _usage_volume(p: Parameters) -> Measure:
    def measure(state: AccountState, day: int) -> Value:
        if state.usage.last_day < 0:
            return Missing.NO_USAGE
        first = first_day(day, p.window)
        return float(_volumes(state, first, first, p.features)[1])

    return measure


def _usage_trend(p: Parameters) -> Measure:
    def measure(state: AccountState, day: int) -> Value:
        if state.usage.last_day < 0:
            return Missing.NO_USAGE
        first = first_day(day, p.window)
        before, after = _volumes(state, first - p.window, first, p.features)
        return after / before if before else Missing.NO_EARLIER_USAGE

    return measure


def _feature_adoption(p: Parameters) -> Measure:
    def measure(state: AccountState, day: int) -> Value:
        usage = state.usage
        if usage.last_day < 0:
            return Missing.NO_USAGE
        first = first_day(day, p.window)
        if p.features is None:
            return float(_used_since(first, usage.features.values()))
        known = [usage.features[feature] for feature in p.features if feature in usage.features]
        return 100.0 * _used_since(first, known) / len(p.features)

    return measure


def _used_since(first: int, features: Iterable[dict[int, int]]) -> int:
    return len([1 for days in features if next(reversed(days)) >= first])


def _days_since_last_use(_: Parameters) -> Measure:
    def measure(state: AccountState, day: int) -> Value:
        last = state.usage.last_day
        return Missing.NO_USAGE if last < 0 else float(max(day - last, 0))

    return measure


def _silence_ratio(_: Parameters) -> Measure:
    def measure(state: AccountState, day: int) -> Value:
        usage = state.usage
        if usage.last_day < 0:
            return Missing.NO_USAGE
        days = list(usage.days)
        first = first_day(day, RHYTHM_DAYS)
        if len(days) < 3 or days[-3] < first:
            return Missing.TOO_FEW_DAYS
        if usage.last_day >= day:
            return 0.0
        active = days[bisect_left(days, first) :]
        gaps = sorted(map(sub, active[1:], active))
        middle = len(gaps) // 2
        median_gap = gaps[middle] if len(gaps) % 2 else (gaps[middle - 1] + gaps[middle]) / 2
        return float((day - usage.last_day) / median_gap)

    return measure


# --- tickets ----------------------------------------------------------------------------------------------------


def _open(state: AccountState) -> Iterable[Ticket]:
    return (ticket for ticket in state.tickets.tickets.values() if ticket.status in OPEN_STATUSES)


def _solved(state: AccountState, day: int, window: int) -> list[Ticket]:
    first = first_day(day, window)
    return [
        ticket
        for ticket in state.tickets.tickets.values()
        if ticket.status in SOLVED_STATUSES and ticket.solved_at and first <= day_of(ticket.solved_at) <= day
    ]


def _open_tickets(p: Parameters) -> Measure:
    def measure(state: AccountState, day: int) -> Value:
        if not state.tickets.tickets:
            return 0.0
        wanted = p.priorities
        return float(sum(1 for ticket in _open(state) if wanted is None or ticket.priority in wanted))

    return measure


def _oldest_open_ticket_days(_: Parameters) -> Measure:
    def measure(state: AccountState, day: int) -> Value:
        if not state.tickets.tickets:
            return 0.0
        return float(max(0, max((day - day_of(ticket.created_at) for ticket in _open(state)), default=0)))

    return measure


def _tickets_created(p: Parameters) -> Measure:
    def measure(state: AccountState, day: int) -> Value:
        first = first_day(day, p.window)
        tickets = state.tickets.tickets.values()
        return float(sum(1 for ticket in tickets if first <= day_of(ticket.created_at) <= day))

    return measure


def _resolution_hours(p: Parameters) -> Measure:
    def measure(state: AccountState, day: int) -> Value:
        solved = _solved(state, day, p.window)
        if not solved:
            return Missing.NOTHING_SOLVED
        took = [max(ticket.solved_at - ticket.created_at, 0) for ticket in solved]
        return median(took) / MICROSECONDS_PER_HOUR

    return measure


def _reopen_rate(p: Parameters) -> Measure:
    def measure(state: AccountState, day: int) -> Value:
        solved = _solved(state, day, p.window)
        if not solved:
            return Missing.NOTHING_SOLVED
        return 100.0 * sum(1 for ticket in solved if ticket.reopens > 0) / len(solved)

    return measure


def _ticket_satisfaction(p: Parameters) -> Measure:
    def measure(state: AccountState, day: int) -> Value:
        ratings = [ticket.satisfaction for ticket in _solved(state, day, p.window) if ticket.satisfaction]
        return 100.0 * ratings.count("good") / len(ratings) if ratings else Missing.NO_RATINGS

    return measure


# --- surveys ----------------------------------------------------------------------------------------------------


def _answers(state: AccountState, survey: str, day: int, window: int) -> list[SurveyAnswer]:
    answers = state.surveys.surveys.get(survey)
    if answers is None:
        return []
    first = first_day(day, window)
    return [answer for answer in answers.last.values() if day_of(answer.at) >= first]


def _nps(p: Parameters) -> Measure:
    def measure(state: AccountState, day: int) -> Value:
        answers = _answers(state, "nps", day, p.window)
        if not answers:
            return Missing.NO_ANSWERS
        promoters = sum(1 for answer in answers if answer.score >= 9_000_000)
        detractors = sum(1 for answer in answers if answer.score <= 6_000_000)
        return 100.0 * (promoters - detractors) / len(answers)

    return measure


def _mean_answer(survey: str) -> Callable[[Parameters], Measure]:
    def build(p: Parameters) -> Measure:
        def measure(state: AccountState, day: int) -> Value:
            answers = _answers(state, survey, day, p.window)
            if not answers:
                return Missing.NO_ANSWERS
            shares = [(each.score - each.scale_min) / (each.scale_max - each.scale_min) for each in answers]
            return 100.0 * sum(sorted(shares)) / len(shares)

        return measure

    return build


def _days_since_survey(_: Parameters) -> Measure:
    def measure(state: AccountState, day: int) -> Value:
        return float(max(day - day_of(state.surveys.newest_at), 0)) if state.surveys.surveys else Missing.NO_SURVEY

    return measure


# --- attributes -------------------------------------------------------------------------------------------------


def _tenure_days(_: Parameters) -> Measure:
    def measure(state: AccountState, day: int) -> Value:
        started_on = state.attributes.value("started_on")
        return float(day - to_day_text(started_on)) if isinstance(started_on, str) else Missing.NO_START

    return measure


def _days_to_renewal(_: Parameters) -> Measure:
    def measure(state: AccountState, day: int) -> Value:
        renews_on = state.attributes.value("renews_on")
        return float(to_day_text(renews_on) - day) if isinstance(renews_on, str) else Missing.NO_RENEWAL

    return measure


# --- catalogue --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Definition:
    """A catalogue entry: the measure's factory, the parameters it takes, and the signals it reads."""

    build: Callable[[Parameters], Measure]
    signals: frozenset[MeasureSignal]
    windows: int = 0
    """The number of windows it looks back; 0 if it takes none."""
    takes_features: bool = False
    takes_priorities: bool = False


def _on(*signals: MeasureSignal) -> frozenset[MeasureSignal]:
    return frozenset(signals)


CATALOGUE: dict[str, Definition] = {
    "active_users": Definition(_active_users, _on("usage"), 1),
    "active_days": Definition(_active_days, _on("usage"), 1),
    "seat_utilization": Definition(_seat_utilization, _on("usage", "attributes"), 1),
    "usage_volume": Definition(_usage_volume, _on("usage"), 1, takes_features=True),
    "usage_trend": Definition(_usage_trend, _on("usage"), 2, takes_features=True),
    "feature_adoption": Definition(_feature_adoption, _on("usage"), 1, takes_features=True),
    "days_since_last_use": Definition(_days_since_last_use, _on("usage")),
    "silence_ratio": Definition(_silence_ratio, _on("usage")),
    "open_tickets": Definition(_open_tickets, _on("tickets"), takes_priorities=True),
    "oldest_open_ticket_days": Definition(_oldest_open_ticket_days, _on("tickets")),
    "tickets_created": Definition(_tickets_created, _on("tickets"), 1),
    "resolution_hours": Definition(_resolution_hours, _on("tickets"), 1),
    "reopen_rate": Definition(_reopen_rate, _on("tickets"), 1),
    "ticket_satisfaction": Definition(_ticket_satisfaction, _on("tickets"), 1),
    "nps": Definition(_nps, _on("surveys"), 1),
    "csat": Definition(_mean_answer("csat"), _on("surveys"), 1),
    "ces": Definition(_mean_answer("ces"), _on("surveys"), 1),
    "days_since_survey": Definition(_days_since_survey, _on("surveys")),
    "tenure_days": Definition(_tenure_days, _on("attributes")),
    "days_to_renewal": Definition(_days_to_renewal, _on("attributes")),
}
