"""The measure catalogue by example: events, a question, and its result."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest

from scoring.scorecards.catalogue import CATALOGUE
from scoring.scorecards.measure import Missing, Parameters, Value
from scoring.state.events import Event
from tests.support.facts import TODAY, answered, calendar, state_of, ticket, used, with_attributes


class Case(NamedTuple):
    """Events of an account, and what a measure makes of them today."""

    label: str
    measure: str
    asked: dict[str, Any]
    events: Sequence[Event]
    expected: float | str


WEEK = {"window": 7}
MONTH = {"window": 30}
EXPORTS = {"window": 7, "features": frozenset({"export"})}
SUITE = {"window": 7, "features": frozenset({"login", "export", "report", "admin"})}
URGENT = {"priorities": frozenset({"high", "urgent"})}
OPEN = [ticket("T-1", "new", 9), ticket("T-2", "hold", 3, priority="urgent"), ticket("T-3", "solved", 40, solved=2)]
STARTED_3, STARTED_13 = (with_attributes(started_on=calendar(ago)) for ago in (3, 13))
SOLVED = [
    ticket("T-1", "solved", 3, solved=2, reopens=1, satisfaction="good"),
    ticket("T-2", "closed", 9, solved=5, satisfaction="bad"),
    ticket("T-3", "solved", 3, solved=0, satisfaction="good"),
    ticket("T-4", "closed", 9, solved=7, reopens=2, satisfaction="bad"),
]
ALL_TODAY = [used(0, "login", user) for user in ("ann", "bob", "cem")]

CASES = [
    # --- usage
    Case("two users, one of them twice", "active_users", WEEK, [used(6), used(0), used(3, user="bob")], 2),
    Case("the window is whole days: today and six before", "active_users", WEEK, [used(7), used(0, user="bob")], 1),
    Case("usage without a user", "active_users", WEEK, [used(1, user=None)], 0),
    Case("used once, silent since", "active_users", WEEK, [used(50)], 0),
    Case("never used", "active_users", WEEK, [with_attributes(seats=5)], "no_usage_ever"),
    Case("dated tomorrow", "active_users", WEEK, [used(-1)], "no_usage_ever"),
    Case("two uses on one day", "active_days", WEEK, [used(0), used(0, "export"), used(6), used(7)], 2),
    Case("silent", "active_days", WEEK, [used(8)], 0),
    Case("never used", "active_days", WEEK, [], "no_usage_ever"),
    Case("three of four seats", "seat_utilization", WEEK, [with_attributes(seats=4), *ALL_TODAY], 75),
    Case("more users than seats", "seat_utilization", WEEK, [with_attributes(seats=2), *ALL_TODAY], 150),
    Case("seats unknown", "seat_utilization", WEEK, ALL_TODAY, "no_seats"),
    Case(
        "seats cleared",
        "seat_utilization",
        WEEK,
        [with_attributes(5, seats=4), with_attributes(1, seats=None), *ALL_TODAY],
        "no_seats",
    ),
    Case("no seats to use", "seat_utilization", WEEK, [with_attributes(seats=0), *ALL_TODAY], "no_seats"),
    Case("seats, never used", "seat_utilization", WEEK, [with_attributes(seats=4)], "no_usage_ever"),
    Case("quantities add up", "usage_volume", WEEK, [used(0, times=3), used(6, "export", times=4), used(7)], 7),
    Case("of some features", "usage_volume", EXPORTS, [used(0, times=3), used(6, "export", times=4)], 4),
    Case("of a feature not used", "usage_volume", EXPORTS, [used(0)], 0),
    Case("never used", "usage_volume", EXPORTS, [], "no_usage_ever"),
    Case("half of the week before", "usage_trend", WEEK, [used(13, times=2), used(7, times=2), used(6, times=2)], 0.5),
    Case("stopped", "usage_trend", WEEK, [used(13)], 0),
    Case(
        "of some features",
        "usage_trend",
        EXPORTS,
        [used(13), used(7, "export"), used(7), used(0, "export", times=3)],
        3,
    ),
    Case("nothing in the week before", "usage_trend", WEEK, [used(14), used(0)], "no_usage_before"),
    Case("never used", "usage_trend", WEEK, [], "no_usage_ever"),
    Case("two weeks old less a day", "usage_trend", WEEK, [used(12), used(0)], "too_young"),
    Case("used late, started before", "usage_trend", WEEK, [STARTED_13, used(12), used(0)], 1),
    Case("used long before its start", "usage_trend", WEEK, [STARTED_3, used(30), used(10), used(0)], 1),
    Case("what is forgotten still makes it old", "usage_trend", WEEK, [used(200), used(10), used(0)], 1),
    Case("two features", "feature_adoption", WEEK, [used(0), used(0, "export"), used(3), used(7, "report")], 2),
    Case("two of four features", "feature_adoption", SUITE, [used(0), used(0, "export"), used(7, "report")], 50),
    Case("others don't count", "feature_adoption", SUITE, [used(0, "billing")], 0),
    Case("never used", "feature_adoption", SUITE, [], "no_usage_ever"),
    Case("used today", "days_since_last_use", {}, [used(3), used(0)], 0),
    Case("last used beyond retention", "days_since_last_use", {}, [used(200)], 200),
    Case("never used", "days_since_last_use", {}, [], "no_usage_ever"),
    Case("twice as long as usual", "silence_ratio", {}, [used(20), used(15), used(10)], 2),
    Case("the median of gaps 1, 3 and 8", "silence_ratio", {}, [used(18), used(17), used(14), used(6)], 2),
    Case("daily user, used today", "silence_ratio", {}, [used(2), used(1), used(0)], 0),
    Case("two active days", "silence_ratio", {}, [used(3), used(1), used(1)], "too_few_active_days"),
    Case("three, one beyond 92 days", "silence_ratio", {}, [used(92), used(3), used(1)], "too_few_active_days"),
    Case("never used", "silence_ratio", {}, [], "no_usage_ever"),
    Case("too few days", "silence_ratio", {"min_n": 4}, [used(9), used(6), used(3)], "too_few_active_days"),
    Case("fewer than a rhythm has", "silence_ratio", {"min_n": 1}, [used(6), used(3)], "too_few_active_days"),
    # --- tickets
    Case("new and on hold", "open_tickets", {}, OPEN, 2),
    Case("of some priorities", "open_tickets", URGENT, OPEN, 1),
    Case("solved since", "open_tickets", {}, [ticket("T-1", "open", 9, ago=5), ticket("T-1", "solved", 9)], 0),
    Case("reopened", "open_tickets", {}, [ticket("T-1", "solved", 9, ago=5), ticket("T-1", "open", 9, reopens=1)], 1),
    Case("open for longer than retention", "open_tickets", {}, [ticket("T-1", "open", 300, ago=200), OPEN[2]], 1),
    Case("no tickets", "open_tickets", {}, [], 0),
    Case("nine days", "oldest_open_ticket_days", {}, OPEN, 9),
    Case("none open", "oldest_open_ticket_days", {}, [ticket("T-1", "closed", 9)], 0),
    Case("no tickets", "oldest_open_ticket_days", {}, [], 0),
    Case("open or solved", "tickets_created", WEEK, [*OPEN, ticket("T-4", "solved", 6), ticket("T-5", "open", 7)], 2),
    Case("solved long before", "tickets_created", WEEK, [ticket("T-1", "solved", 6, ago=95, solved=95), OPEN[1]], 2),
    Case("no tickets", "tickets_created", WEEK, [], 0),
    Case("the median of 24, 72 and 96", "resolution_hours", WEEK, SOLVED, 72),
    Case("the mean of the middle two", "resolution_hours", WEEK, SOLVED[:2], 60),
    Case("solved, but when is unknown", "resolution_hours", WEEK, [ticket("T-1", "solved", 3)], "no_tickets_solved"),
    Case("open again", "resolution_hours", WEEK, [ticket("T-1", "open", 3, solved=1)], "no_tickets_solved"),
    Case("no tickets", "resolution_hours", WEEK, [], "no_tickets_solved"),
    Case("one of three", "reopen_rate", WEEK, SOLVED, 100 / 3),
    Case("none", "reopen_rate", WEEK, SOLVED[1:3], 0),
    Case("solved before the window", "reopen_rate", WEEK, SOLVED[3:], "no_tickets_solved"),
    Case("enough solved", "reopen_rate", {**WEEK, "min_n": 3}, SOLVED, 100 / 3),
    Case("too few solved", "reopen_rate", {**WEEK, "min_n": 4}, SOLVED, "too_few_tickets_solved"),
    Case("too few solved", "resolution_hours", {**WEEK, "min_n": 4}, SOLVED, "too_few_tickets_solved"),
    Case("too few rated", "ticket_satisfaction", {**WEEK, "min_n": 4}, SOLVED, "too_few_ratings"),
    Case("two of three", "ticket_satisfaction", WEEK, SOLVED, 200 / 3),
    Case("not rated", "ticket_satisfaction", WEEK, [ticket("T-1", "solved", 3, solved=1)], "no_ratings"),
    Case("no tickets", "ticket_satisfaction", WEEK, [], "no_ratings"),
    # --- surveys
    Case(
        "promoters from 9, detractors up to 6",
        "nps",
        MONTH,
        [
            answered("nps", 9, 29),
            answered("nps", 8.9, 2, "bob"),
            answered("nps", 6, 3, "cem"),
            answered("nps", 10, 4, "d"),
        ],
        25,
    ),
    Case("the last answer counts", "nps", MONTH, [answered("nps", 10, 5), answered("nps", 2, 3)], -100),
    Case("before the window", "nps", MONTH, [answered("nps", 10, 30)], "no_answers"),
    Case("enough", "nps", {**MONTH, "min_n": 2}, [answered("nps", 10, 5), answered("nps", 2, 3, "bob")], 0),
    Case("too few", "nps", {**MONTH, "min_n": 2}, [answered("nps", 10, 5), answered("nps", 2, 3)], "too_few_answers"),
    Case("too few", "ces", {**MONTH, "min_n": 2}, [answered("ces", 7, 1, scale_max=7)], "too_few_answers"),
    Case("other surveys", "nps", MONTH, [answered("csat", 5, 1, scale_max=5)], "no_answers"),
    Case("3 of 1 to 5", "csat", MONTH, [answered("csat", 3, 1, scale_max=5)], 50),
    Case("best of 0 to 10", "csat", MONTH, [answered("csat", 10, 1, scale_min=0)], 100),
    Case("worst of 0 to 10", "csat", MONTH, [answered("csat", 0, 1, scale_min=0)], 0),
    Case("a thumb down", "csat", MONTH, [answered("csat", 0, 1, scale_min=0, scale_max=1)], 0),
    Case("a thumb up", "csat", MONTH, [answered("csat", 1, 1, scale_min=0, scale_max=1)], 100),
    Case("73 percent", "ces", MONTH, [answered("ces", 73, 1, scale_min=0, scale_max=100)], 73),
    Case("0 of -3 to 3", "ces", MONTH, [answered("ces", 0, 1, scale_min=-3, scale_max=3)], 50),
    Case("mixed scales", "csat", MONTH, [answered("csat", 5, 1, scale_max=5), answered("csat", 5.5, 1, "bob")], 75),
    Case("no answers", "csat", MONTH, [], "no_answers"),
    Case("7 and 1 of 1 to 7", "ces", MONTH, [answered("ces", 7, 1, "b", 7), answered("ces", 1, 1, "c", 7)], 50),
    Case("no answers", "ces", MONTH, [answered("nps", 9, 1)], "no_answers"),
    Case(
        "of any survey", "days_since_survey", {}, [answered("ces", 7, 120, scale_max=7), answered("nps", 9, 100)], 100
    ),
    Case("none ever", "days_since_survey", {}, [used(0)], "no_survey_ever"),
    # --- attributes
    Case("a year", "tenure_days", {}, [with_attributes(started_on=calendar(365))], 365),
    Case("starts next week", "tenure_days", {}, [with_attributes(started_on=calendar(-7))], -7),
    Case("unknown", "tenure_days", {}, [with_attributes(segment="smb")], "no_start_date"),
    Case("next month", "days_to_renewal", {}, [with_attributes(renews_on=calendar(-30))], 30),
    Case("overdue", "days_to_renewal", {}, [with_attributes(renews_on=calendar(4))], -4),
    Case(
        "cleared",
        "days_to_renewal",
        {},
        [with_attributes(2, renews_on=calendar(4)), with_attributes(1, renews_on=None)],
        "no_renewal_date",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.measure}: {case.label}")
def test_a_measure_has_the_value(case: Case) -> None:
    value = measured(case.measure, case.asked, case.events)
    if isinstance(case.expected, str):
        assert value == Missing(case.expected)
    else:
        assert value == pytest.approx(case.expected)


def test_every_measure_has_an_example() -> None:
    assert {case.measure for case in CASES} == set(CATALOGUE)


def measured(measure: str, asked: dict[str, Any], events: Sequence[Event]) -> Value:
    return CATALOGUE[measure].build(Parameters(**asked))(state_of(*events), TODAY)
