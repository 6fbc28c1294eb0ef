"""The scorecards for phases of a customer's life that come with the service, on accounts that everybody knows."""

from functools import cache

import pytest
import yaml

from scoring.scorecards.document import parse
from scoring.scorecards.lint import MOST_MEASURES, overlaps, warnings
from scoring.scorecards.scorecard import Evaluation, Scorecard, compile_scorecard, evaluate
from scoring.scorecards.selection import choose, in_order
from scoring.state.account_state import RETENTION_DAYS
from scoring.state.events import Event
from service.evaluation.scorecards import purpose, starter_names, starter_text
from tests.support.facts import TODAY, answered, calendar, state_of, ticket, with_attributes
from tests.unit.scoring.test_default_scorecard import workdays

STARTERS = ("adoption", "default", "onboarding", "renewal")


@cache
def card(name: str) -> Scorecard:
    return compile_scorecard(parse(yaml.safe_load(starter_text(name)), RETENTION_DAYS), 1)


def judged(name: str, *events: Event) -> Evaluation:
    """The evaluation by a scorecard that must be the one for the account."""
    state = state_of(*events)
    assert choose(in_order(map(card, STARTERS)), state, TODAY).name == name
    return evaluate(card(name), state, TODAY)


def signed(ago: int, **more: str | int) -> Event:
    """A customer of ten seats for a number of days."""
    return with_attributes(min(ago, 91), seats=10, started_on=calendar(ago), **more)


def promoters(ago: int) -> list[Event]:
    """Three who would recommend it, the fewest that count."""
    return [answered("nps", 9, ago, who) for who in ("ann", "bob", "cem")]


def renewing(in_days: int) -> Event:
    return signed(340, stage="renewal", renews_on=calendar(-in_days))


def test_those_that_ship() -> None:
    assert starter_names() == list(STARTERS)
    assert all(20 < len(purpose(name)) < 120 for name in STARTERS)


@pytest.mark.parametrize("name", STARTERS)
def test_there_is_nothing_to_warn_of(name: str) -> None:
    document = card(name).document
    assert document.name == name
    assert len(document.measures) <= MOST_MEASURES
    assert warnings(document) == []
    assert overlaps(document, [card(other).document for other in STARTERS]) == []


# --- onboarding -------------------------------------------------------------------------------------------------

EASY = [answered("ces", 6, 5, who, scale_max=7) for who in ("ann", "bob")]
BEGUN = judged("onboarding", signed(30), *workdays(28, 0, 7, 5), *EASY)
BOUNCED = judged("onboarding", signed(40), *workdays(38, 36, 2, 3))
NEVER_CAME = judged("onboarding", signed(21))
ALONE = judged("onboarding", signed(45), *workdays(43, 1, 1, 2))
STUCK = judged(
    "onboarding", signed(30), *workdays(28, 6, 4, 3), ticket("T-1", "open", 12, ago=12, priority="urgent"),
    ticket("T-2", "pending", 9, ago=9, priority="high"),
)  # fmt: skip


def test_a_thriving_new_customer_is_green() -> None:
    assert BEGUN.band == "green"
    assert BEGUN.score is not None
    assert BEGUN.score > 75
    assert BEGUN.measures["ces"].score is not None


def test_one_who_never_came_back_is_red() -> None:
    assert BOUNCED.band == "red"
    assert BOUNCED.score is not None
    assert BOUNCED.score < 25


def test_one_who_has_not_even_begun_is_red_after_a_week_and_unknown_before() -> None:
    assert NEVER_CAME.band == "red"
    assert judged("onboarding", signed(7)).band == "red"
    assert judged("default", signed(6)).band == "unknown"


def test_a_lone_champion_is_yellow() -> None:
    assert ALONE.band == "yellow"
    assert ALONE.measures["seat_utilization"].score == pytest.approx(22.5)


def test_a_start_that_trouble_holds_up_is_yellow() -> None:
    assert STUCK.band == "yellow"


def test_within_weeks_of_silence_a_good_start_is_red() -> None:
    events = [signed(60), *workdays(58, 0, 7, 5)]
    bands = [evaluate(card("onboarding"), state_of(*events), TODAY + days).band for days in (0, 4, 9, 11)]
    assert bands[0] == bands[1] == "green"
    assert bands[2] == "yellow"
    assert bands[3] == "red"


# --- adoption ---------------------------------------------------------------------------------------------------

ADOPTED = judged("adoption", signed(200), *workdays(85, 0, 8, 7), *promoters(20))
SHELFWARE = judged("adoption", signed(120))
FADING = judged("adoption", signed(200), *workdays(85, 30, 8, 6), *workdays(29, 5, 3, 2))
GONE = judged("adoption", signed(200), *workdays(85, 25, 8, 7), *promoters(40))
OCCASIONAL = judged("adoption", signed(300), *[e for ago in range(84, 0, -9) for e in workdays(ago, ago, 2, 2)])


def test_a_team_with_a_habit_is_green() -> None:
    assert ADOPTED.score is not None
    assert ADOPTED.score > 80


def test_shelfware_is_red_not_unknown() -> None:
    assert SHELFWARE.band == "red"


def test_use_by_fewer_of_less_is_yellow() -> None:
    assert FADING.band == "yellow"


def test_promoters_who_left_are_red() -> None:
    assert GONE.band == "red"
    assert "veto:days_since_last_use" in GONE.measures


def test_once_a_week_by_two_of_ten_is_no_habit() -> None:
    assert OCCASIONAL.band == "yellow"


# --- renewal ----------------------------------------------------------------------------------------------------

USED = workdays(85, 0, 8, 7)
SAFE = judged("renewal", renewing(60), *USED, *promoters(30))
OVERDUE = judged("renewal", renewing(-20), *USED, *promoters(30))
URGENT = [ticket(f"T-{number}", "open", 4, priority="urgent") for number in (1, 2)]
ESCALATED = judged("renewal", renewing(60), *USED, *promoters(30), *URGENT)
OVERSOLD = judged("renewal", renewing(40), *workdays(85, 0, 2, 2), answered("nps", 6, 30))
ABSENT = judged("renewal", renewing(40), *workdays(85, 18, 8, 7), *promoters(30))


def test_a_used_and_loved_product_is_safe() -> None:
    assert SAFE.score is not None
    assert SAFE.score > 80


def test_a_date_that_has_passed_costs_points() -> None:
    assert OVERDUE.score is not None
    assert SAFE.score is not None
    assert 5 < SAFE.score - OVERDUE.score < 10


def test_two_urgent_tickets_make_it_unsafe_however_much_it_is_used() -> None:
    assert (ESCALATED.band, ESCALATED.score) == ("yellow", 65)


def test_seats_that_nobody_uses_are_a_question_of_price() -> None:
    assert OVERSOLD.score is not None
    assert OVERSOLD.score < 60


def test_silence_before_they_decide_is_red() -> None:
    assert (ABSENT.band, ABSENT.score) == ("red", 30)


def test_one_who_was_never_seen_is_red_however_far_the_date() -> None:
    assert judged("renewal", renewing(120)).band == "red"
