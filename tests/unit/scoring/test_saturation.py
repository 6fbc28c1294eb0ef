"""Scorecards that leave room between accounts: the share with full points, of any readings and of the starters."""

from functools import cache
from random import Random

import pytest
import yaml

from scoring.scorecards.catalogue import CATALOGUE
from scoring.scorecards.document import MeasureDocument, parse
from scoring.scorecards.measure import Missing, Value
from scoring.scorecards.saturation import Saturation, saturation
from scoring.scorecards.scorecard import Scorecard, compile_scorecard, read
from scoring.state.account_state import RETENTION_DAYS, AccountState
from scoring.state.events import Event
from service.evaluation.scorecards import starter_names, starter_text
from tests.support.facts import TODAY, answered, calendar, state_of, ticket, used, with_attributes

NEARLY_EVERYBODY = 0.75
FEATURES = [f"feature-{number}" for number in range(24)]


def card_of(text: str) -> Scorecard:
    return compile_scorecard(parse(yaml.safe_load(text), RETENTION_DAYS), 1)


@cache
def starter(name: str) -> Scorecard:
    return card_of(starter_text(name))


def shown(found: list[Saturation]) -> str:
    """A line for each measure."""
    return "\n".join(f"{each.measure:24} full {each.full:4.0%} none {each.none:4.0%} missing {each.missing:4.0%}"
                     for each in found)  # fmt: skip


def test_shares_are_of_all_accounts_and_a_missing_value_counts_for_no_end() -> None:
    card = card_of("""
        name: default
        measures:
        - {measure: active_days, window: 30, weight: 1, curve: [[0, 0], [10, 100]]}
        - {measure: open_tickets, weight: 1, missing: worst, curve: [[0, 50], [3, 0]]}
    """)
    readings: list[list[Value]] = [[10.0, 0.0], [30.0, 3.0], [0.0, Missing.NO_USAGE], [9.9, 1.0]]
    assert saturation(card, readings) == [
        Saturation("active_days", 4, 0.5, 0.25, 0.0),
        Saturation("open_tickets", 4, 0.0, 0.25, 0.25),
    ]
    assert saturation(card, [])[0] == Saturation("active_days", 0, 0.0, 0.0, 0.0)


# --- the starters, on made-up accounts of three products ----------------------------------------------------------

EVERY_DAY, OFFICE, NOW_AND_THEN = "a network for everybody", "a tool of offices", "a shop"


def customer(product: str, chance: Random) -> AccountState:
    """An account that lives: how much it uses a product is drawn, and nothing is wrong with it."""
    seats, keen = chance.choice([5, 10, 25]), chance.lognormvariate(0, 0.7)
    events: list[Event] = [with_attributes(91, seats=seats, started_on=calendar(chance.randint(60, 300)))]
    people = 1 if product == EVERY_DAY else max(1, round(seats * chance.uniform(0.2, 1)))
    breadth = {EVERY_DAY: 8, OFFICE: 20, NOW_AND_THEN: 2}[product]
    known = FEATURES[: max(1, round(breadth * chance.uniform(0.6, 1)))]
    for ago in range(91, -1, -1):
        weekend = (TODAY - ago) % 7 >= 5
        stays_away = {EVERY_DAY: 0.03, OFFICE: 0.85 if weekend else 0.05, NOW_AND_THEN: 0.94}[product]
        if chance.random() > stays_away / keen**0.2:
            some = max(1, round(people * chance.uniform(0.5, 1)))
            much = max(1, round(6 * keen * chance.uniform(0.3, 1.7)))
            events += [used(ago, chance.choice(known), f"person-{who}", much) for who in range(some)]
    events += [answered("nps", chance.randint(5, 10), 30, f"person-{who}") for who in range(chance.randint(0, 4))]
    if chance.random() < 0.2:
        events.append(ticket("T-1", "open", 3, priority="urgent"))
    return state_of(*events)


@cache
def population() -> list[AccountState]:
    chance = Random(3)
    return [customer(product, chance) for product in (EVERY_DAY, OFFICE, NOW_AND_THEN) for _ in range(40)]


@pytest.mark.parametrize("name", starter_names())
def test_no_measure_of_a_starter_gives_full_points_to_nearly_everybody(name: str) -> None:
    card = starter(name)
    found = saturation(card, [read(card, state, TODAY) for state in population()])
    assert [each for each in found if each.full > NEARLY_EVERYBODY] == [], shown(found)


@pytest.mark.parametrize("product", [EVERY_DAY, OFFICE])
@pytest.mark.parametrize("name", starter_names())
def test_not_even_of_one_product(name: str, product: str) -> None:
    chance, card = Random(4), starter(name)
    found = saturation(card, [read(card, customer(product, chance), TODAY) for _ in range(40)])
    assert [each for each in found if each.full > NEARLY_EVERYBODY] == [], shown(found)


def test_a_curve_that_everybody_exhausts_is_found() -> None:
    card = card_of("""
        name: default
        measures:
        - {measure: active_days, window: 30, weight: 1, curve: [[0, 0], [12, 80], [20, 100]]}
        - {measure: days_since_last_use, weight: 1, curve: [[1, 100], [30, 0]]}
    """)
    chance = Random(4)
    found = saturation(card, [read(card, customer(EVERY_DAY, chance), TODAY) for _ in range(40)])
    assert [each.full > NEARLY_EVERYBODY for each in found] == [True, True]


# --- what each of their measures says -----------------------------------------------------------------------------

MEASURES = [
    pytest.param(name, measure, id=f"{name}-{measure.title}")
    for name in starter_names()
    for measure in starter(name).document.measures
]
OF_ANSWERS = ("nps", "csat", "ces", "ticket_satisfaction", "reopen_rate", "resolution_hours")


@pytest.mark.parametrize(("name", "measure"), MEASURES)
def test_a_curve_goes_in_the_direction_of_the_catalogue(name: str, measure: MeasureDocument) -> None:
    scores = [score for _, score in measure.curve]
    assert scores == sorted(scores, reverse=CATALOGUE[measure.measure].better == "low")
    assert len(set(scores)) > 1


@pytest.mark.parametrize(("name", "measure"), MEASURES)
def test_missing_is_neutral_or_said_to_be_worst(name: str, measure: MeasureDocument) -> None:
    """Only measures of use may be worst, where the scorecard says in words that no use is no lack of data."""
    if measure.missing != "neutral":
        assert measure.missing == "worst"
        assert CATALOGUE[measure.measure].signals == {"usage"}
        assert "`missing: worst`" in starter_text(name)


@pytest.mark.parametrize(("name", "measure"), MEASURES)
def test_no_trouble_is_no_praise(name: str, measure: MeasureDocument) -> None:
    """Silence and open tickets: 50 without any, as much as if nothing were known."""
    if measure.measure in ("days_since_last_use", "silence_ratio", "open_tickets", "oldest_open_ticket_days"):
        assert max(score for _, score in measure.curve) == 50


@pytest.mark.parametrize(("name", "measure"), MEASURES)
def test_growth_says_no_more_than_steady_use(name: str, measure: MeasureDocument) -> None:
    if measure.measure == "usage_trend":
        curve = next(each.curve for each in starter(name).measures if each.name == measure.title)
        assert curve(1.0) == curve(1.01) == curve(5.0) == 100
        assert curve(0.9) > 85, "weeks differ by chance"


@pytest.mark.parametrize(("name", "measure"), MEASURES)
def test_a_few_answers_say_nothing(name: str, measure: MeasureDocument) -> None:
    if measure.measure in OF_ANSWERS:
        assert measure.min_n is not None
        assert measure.min_n >= 2
