"""The demo's made-up customers: always the same, and each fate is what its name says."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from statistics import mean

import pytest

from service.demo.world.customers import COURSE, MOST_CUSTOMERS, make_customers
from service.demo.world.events import DemoEvent
from service.demo.world.history import happened, introductions
from tests.support.demo_scores import SEED, World

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def events(since: datetime, until: datetime) -> list[DemoEvent]:
    return list(happened(make_customers(20, SEED, NOON.date()), SEED, NOON.date(), since, until))


def test_the_same_seed_makes_the_same_customers_and_the_same_history() -> None:
    since = NOON - timedelta(days=10)
    assert make_customers(50, SEED, NOON.date()) == make_customers(50, SEED, NOON.date())
    assert make_customers(50, SEED, NOON.date())[:20] == make_customers(20, SEED, NOON.date())
    assert make_customers(50, SEED + 1, NOON.date()) != make_customers(50, SEED, NOON.date())
    assert events(since, NOON) == events(since, NOON)


def test_adjoining_times_give_what_the_whole_gives() -> None:
    since, middle = NOON - timedelta(days=12), NOON - timedelta(days=5, hours=3)
    key = lambda event: (event.id, event.at)  # noqa: E731 - an event holds a dict, which has no order
    parts = [*events(since, middle), *events(middle, NOON)]
    assert sorted(map(key, parts)) == sorted(map(key, events(since, NOON)))
    assert all(since < event.at <= NOON for event in parts)


def test_no_two_events_share_an_id() -> None:
    found = Counter(event.id for event in events(NOON - timedelta(days=90), NOON))
    assert found.most_common(1)[0][1] == 1


def test_customers_are_plausible() -> None:
    customers = make_customers(MOST_CUSTOMERS, SEED, NOON.date())
    assert len({customer.id for customer in customers}) == MOST_CUSTOMERS
    assert {customer.fate for customer in customers[:20]} == set(COURSE)
    for customer in customers:
        assert customer.started_on < NOON.date() < customer.renews_on
        assert customer.seats > 0
        assert customer.arr > 0
    assert all(event.data["name"] for event in introductions(customers, NOON))


@pytest.mark.parametrize("days", [0, 3, 4])  # a Wednesday, a Saturday, a Sunday
@pytest.mark.parametrize("hour", [3, 20])
def test_each_fate_has_the_score_that_it_promises(days: int, hour: int) -> None:
    world = World(60, NOON.replace(hour=hour) + timedelta(days=days))
    scores: dict[str, list[float]] = {fate.name: [] for fate in COURSE}
    for customer in world.customers:
        score = world.score(customer)
        if score is not None:
            scores[customer.fate.name].append(score)
    assert min(scores["thriving"]) > 80
    assert min(scores["growing"]) > 80
    assert min(scores["steady"]) > 72
    assert min(scores["weekdays only"]) > 75
    assert 55 < mean(scores["full of tickets"]) < min(scores["thriving"])
    assert 50 < mean(scores["unhappy"]) < 75
    assert 55 < mean(scores["lukewarm"]) < 80
    assert 30 < mean(scores["fading"]) < 55
    assert min(scores["suddenly silent"]) < 30
    assert not scores["never activated"]


def test_fates_go_on_while_nobody_watches() -> None:
    world = World(20, NOON)
    before = dict(world.scores)
    later = NOON + timedelta(days=20)
    world.fold(happened(world.customers, SEED, NOON.date(), NOON, later), later)
    world.judge(later)
    for customer in world.customers:
        first, last = before[customer.id], world.scores[customer.id]
        if first is None or last is None:
            assert customer.fate.name == "never activated"
        elif customer.fate.name in ("fading", "suddenly silent"):
            assert last < min(first, 30)
        elif customer.fate.name in ("thriving", "steady", "weekdays only", "growing"):
            assert last > 72
