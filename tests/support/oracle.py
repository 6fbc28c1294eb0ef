"""Section 4 of the design, computed the slow and obvious way from the events themselves.

Nothing is accumulated, and only the form of an event is shared with the code under test: every answer reads the whole
list again. Numbers are exact fractions of those in the scorecard, so all rounding is the other side's.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import cache, cached_property
from itertools import pairwise
from statistics import median
from typing import Any

from scoring.state.events import AttributesEvent, AttributeValue, Event, SurveyEvent, TicketEvent, UsageEvent

HOUR = 3_600_000_000
DAY = 24 * HOUR
Document = Mapping[str, Any]
Value = Fraction | str
"""A measure's value, or the word for the reason why it has none."""


def day_number(moment: int) -> int:
    """The UTC day that a moment falls on."""
    return moment // DAY


def is_late(event: Event, retention: int) -> bool:
    """True if the event is older than the `retention` days that end with its own broker day."""
    return day_number(event.at) < event.broker_day - retention + 1


@cache
def number(written: float) -> Fraction:
    """The exact number that was written: 0.1 is a tenth."""
    return Fraction(str(written))


@dataclass(frozen=True)
class Question:
    """One scorecard entry, asked of an account's events at a day."""

    events: Sequence[Event]
    day: int
    retention: int
    entry: Document

    @property
    def window(self) -> int:
        """Days in the window."""
        return int(self.entry["window"])

    def enough(self, found: int, what: str) -> str | None:
        """The reason why so many of `what` are too few; None if they aren't."""
        if found == 0:
            return f"no_{what}"
        return f"too_few_{what}" if found < self.entry.get("min_n", 1) else None

    def in_window(self, moment: int, windows_back: int = 0) -> bool:
        """True if a moment falls into the window, or into an earlier window, counted back from it."""
        last = self.day - windows_back * self.window
        return last - self.window < day_number(moment) <= last

    def usage(self) -> list[UsageEvent]:
        """Usage that counts. It has no identity left to distinguish copies, so equal events are two uses."""
        return [event for event in self.heard if isinstance(event, UsageEvent)]

    def featured(self) -> list[UsageEvent]:
        """Usage of the features that the entry asks for."""
        features = self.entry.get("features")
        return [event for event in self.usage() if features is None or event.feature in features]

    def usage_days(self) -> list[int]:
        """The days with usage within retention, in order."""
        brokers = [event.broker_day for event in self.events if isinstance(event, UsageEvent)]
        oldest = max(brokers, default=0) - self.retention + 1
        return sorted({day_number(event.at) for event in self.usage() if day_number(event.at) >= oldest})

    def tickets(self) -> list[TicketEvent]:
        """The last snapshot of each ticket."""
        snapshots = [event for event in self.heard if isinstance(event, TicketEvent)]
        return [_last(s for s in snapshots if s.ticket_id == ticket) for ticket in {s.ticket_id for s in snapshots}]

    def open_tickets(self) -> list[TicketEvent]:
        """Tickets that are still to be solved."""
        return [ticket for ticket in self.tickets() if ticket.status in ("new", "open", "pending", "hold")]

    def solved_tickets(self) -> list[TicketEvent]:
        """Tickets that are solved, and were in the window."""
        solved = [ticket for ticket in self.tickets() if ticket.status in ("solved", "closed") and ticket.solved_at]
        return [ticket for ticket in solved if self.in_window(ticket.solved_at)]

    def answers(self) -> list[SurveyEvent]:
        """The last answer of each respondent to each survey."""
        given = [event for event in self.heard if isinstance(event, SurveyEvent)]
        keys = {(answer.survey, answer.respondent) for answer in given}
        return [_last(answer for answer in given if (answer.survey, answer.respondent) == key) for key in keys]

    def answers_to(self, survey: str) -> list[SurveyEvent]:
        """The answers to one survey, in the window."""
        return [answer for answer in self.answers() if answer.survey == survey and self.in_window(answer.at)]

    def attribute(self, name: str) -> AttributeValue:
        """The attribute as last written; None if it never was, or was cleared."""
        writers = [event for event in self.heard if isinstance(event, AttributesEvent) and name in event.values]
        return _last(writers).values[name] if writers else None

    @cached_property
    def heard(self) -> list[Event]:
        """True for events that count at the day: neither late on arrival nor dated after it."""
        return [
            event for event in self.events if not is_late(event, self.retention) and day_number(event.at) <= self.day
        ]


def _last(events: Iterable[Any]) -> Any:
    return max(events, key=lambda event: (event.at, event.id))


# --- measures ---------------------------------------------------------------------------------------------------


def active_users(asked: Question) -> Value:
    if not asked.usage():
        return "no_usage_ever"
    return Fraction(len({use.user for use in asked.usage() if asked.in_window(use.at) and use.user is not None}))


def active_days(asked: Question) -> Value:
    if not asked.usage():
        return "no_usage_ever"
    return Fraction(len({day_number(use.at) for use in asked.usage() if asked.in_window(use.at)}))


def seat_utilization(asked: Question) -> Value:
    seats, users = asked.attribute("seats"), active_users(asked)
    if not isinstance(seats, int) or seats == 0:
        return "no_seats"
    return users if isinstance(users, str) else 100 * users / seats


def _volume(asked: Question, windows_back: int = 0) -> Fraction:
    return Fraction(sum(use.quantity for use in asked.featured() if asked.in_window(use.at, windows_back)))


def usage_volume(asked: Question) -> Value:
    return _volume(asked) if asked.usage() else "no_usage_ever"


def usage_trend(asked: Question) -> Value:
    if not asked.usage():
        return "no_usage_ever"
    known = [day_number(use.at) for use in asked.usage()]
    if (tenure := _days_to(asked, "started_on")) is not None:
        known.append(asked.day + tenure)
    if asked.day - min(known) + 1 < 2 * asked.window:
        return "too_young"
    before = _volume(asked, windows_back=1)
    return _volume(asked) / before if before else "no_usage_before"


def feature_adoption(asked: Question) -> Value:
    if not asked.usage():
        return "no_usage_ever"
    used = {use.feature for use in asked.featured() if asked.in_window(use.at)}
    wanted = asked.entry.get("features")
    return Fraction(len(used)) if wanted is None else Fraction(100 * len(used), len(set(wanted)))


def days_since_last_use(asked: Question) -> Value:
    if not asked.usage():
        return "no_usage_ever"
    return Fraction(asked.day - max(day_number(use.at) for use in asked.usage()))


def silence_ratio(asked: Question) -> Value:
    since = days_since_last_use(asked)
    if isinstance(since, str):
        return since
    active = [day for day in asked.usage_days() if asked.day - day < 92]
    if len(active) < asked.entry.get("min_n", 3):
        return "too_few_active_days"
    return since / median(Fraction(later - earlier) for earlier, later in pairwise(active))


def open_tickets(asked: Question) -> Value:
    wanted = asked.entry.get("priorities")
    return Fraction(len([ticket for ticket in asked.open_tickets() if wanted is None or ticket.priority in wanted]))


def oldest_open_ticket_days(asked: Question) -> Value:
    opened = [day_number(ticket.created_at) for ticket in asked.open_tickets()]
    return Fraction(max(asked.day - min(opened), 0)) if opened else Fraction(0)


def tickets_created(asked: Question) -> Value:
    return Fraction(len([ticket for ticket in asked.tickets() if asked.in_window(ticket.created_at)]))


def resolution_hours(asked: Question) -> Value:
    took = [Fraction(max(ticket.solved_at - ticket.created_at, 0), HOUR) for ticket in asked.solved_tickets()]
    return asked.enough(len(took), "tickets_solved") or median(took)


def reopen_rate(asked: Question) -> Value:
    solved = asked.solved_tickets()
    if lacking := asked.enough(len(solved), "tickets_solved"):
        return lacking
    return Fraction(100 * len([ticket for ticket in solved if ticket.reopens > 0]), len(solved))


def ticket_satisfaction(asked: Question) -> Value:
    good = len([ticket for ticket in asked.solved_tickets() if ticket.satisfaction == "good"])
    bad = len([ticket for ticket in asked.solved_tickets() if ticket.satisfaction == "bad"])
    return asked.enough(good + bad, "ratings") or Fraction(100 * good, good + bad)


def nps(asked: Question) -> Value:
    scores = [Fraction(answer.score, 1_000_000) for answer in asked.answers_to("nps")]
    if lacking := asked.enough(len(scores), "answers"):
        return lacking
    promoters, detractors = len([s for s in scores if s >= 9]), len([s for s in scores if s <= 6])
    return Fraction(100 * promoters, len(scores)) - Fraction(100 * detractors, len(scores))


def _mean_answer(survey: str) -> Callable[[Question], Value]:
    def mean(asked: Question) -> Value:
        shares = [
            100 * Fraction(answer.score - answer.scale_min, answer.scale_max - answer.scale_min)
            for answer in asked.answers_to(survey)
        ]
        return asked.enough(len(shares), "answers") or sum(shares, Fraction(0)) / len(shares)

    return mean


def days_since_survey(asked: Question) -> Value:
    days = [day_number(answer.at) for answer in asked.answers()]
    return Fraction(asked.day - max(days)) if days else "no_survey_ever"


def _days_to(asked: Question, name: str) -> int | None:
    written = asked.attribute(name)
    return (date.fromisoformat(str(written)) - date(1970, 1, 1)).days - asked.day if written else None


def tenure_days(asked: Question) -> Value:
    days = _days_to(asked, "started_on")
    return "no_start_date" if days is None else Fraction(-days)


def days_to_renewal(asked: Question) -> Value:
    days = _days_to(asked, "renews_on")
    return "no_renewal_date" if days is None else Fraction(days)


MEASURES: dict[str, Callable[[Question], Value]] = {
    "active_users": active_users,
    "active_days": active_days,
    "seat_utilization": seat_utilization,
    "usage_volume": usage_volume,
    "usage_trend": usage_trend,
    "feature_adoption": feature_adoption,
    "days_since_last_use": days_since_last_use,
    "silence_ratio": silence_ratio,
    "open_tickets": open_tickets,
    "oldest_open_ticket_days": oldest_open_ticket_days,
    "tickets_created": tickets_created,
    "resolution_hours": resolution_hours,
    "reopen_rate": reopen_rate,
    "ticket_satisfaction": ticket_satisfaction,
    "nps": nps,
    "csat": _mean_answer("csat"),
    "ces": _mean_answer("ces"),
    "days_since_survey": days_since_survey,
    "tenure_days": tenure_days,
    "days_to_renewal": days_to_renewal,
}


def measure(entry: Document, events: Sequence[Event], day: int, retention: int) -> Value:
    """The value of a scorecard's entry at `day`, or the reason why it has none."""
    return MEASURES[entry["measure"]](Question(events, day, retention, entry))
