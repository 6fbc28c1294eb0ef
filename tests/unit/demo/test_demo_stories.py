"""The events of the demo's customers while somebody watches: they have to stay interesting for hours."""

from datetime import UTC, datetime, timedelta

import pytest

from service.demo.world.customers import by_id
from service.demo.world.stories import FIRST_TROUBLE, Director, comeback, relief, trouble
from service.demo.world.traffic import EverydayTraffic
from tests.support.demo_scores import SEED, World

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
LEVEL, CLEAR = 40.0, 45.0


@pytest.fixture
def world() -> World:
    return World(20, NOON)


def test_trouble_leads_below_the_level_and_relief_back_above_it(world: World) -> None:
    director = Director(by_id(world.customers), [], 0.0)
    director.events(FIRST_TROUBLE, NOON, world.scores)
    [chosen] = director.troubled
    customer = by_id(world.customers)[chosen]
    assert (world.score(customer) or 0) >= CLEAR
    world.fold((beat.event(NOON) for beat in trouble(customer)), NOON)
    assert (world.score(customer) or 0) < LEVEL
    later = NOON + timedelta(minutes=2)
    world.fold((beat.event(later) for beat in relief(customer)), later)
    assert (world.score(customer) or 0) >= CLEAR


def test_a_comeback_lifts_a_silent_customer(world: World) -> None:
    [silent] = [customer for customer in world.customers if customer.fate.name == "suddenly silent"]
    before = world.score(silent) or 0
    assert before < LEVEL
    world.fold((beat.event(NOON) for beat in comeback(silent)), NOON)
    assert (world.score(silent) or 0) > CLEAR


@pytest.mark.parametrize("accounts", [20, 60])
def test_an_hour_never_gets_dull(accounts: int) -> None:
    world = World(accounts, NOON)
    director = Director(by_id(world.customers), [], 0.0)
    below: set[str] = {each for each, score in world.scores.items() if score is not None and score < LEVEL}
    fell: list[float] = []
    for second in range(0, 3600, 2):
        now = NOON + timedelta(seconds=second)
        world.fold(director.events(second, now, world.scores), now)
        for account_id, score in world.scores.items():
            if score is not None and score < LEVEL and account_id not in below:
                below.add(account_id)
                fell.append(second)
            elif score is not None and score >= CLEAR:
                below.discard(account_id)
    assert fell[0] < 60
    assert max(later - earlier for earlier, later in zip(fell, [*fell[1:], 3600], strict=True)) < 300


def test_the_troubled_of_an_earlier_run_are_relieved_first(world: World) -> None:
    customers = by_id(world.customers)
    director = Director(customers, ["nobody-we-know", world.customers[0].id], 100.0)
    assert director.troubled == [world.customers[0].id]
    events = director.events(100.0, NOON, {})
    assert {event.account_id for event in events} == {world.customers[0].id}
    assert events[0].data["status"] == "solved"
    assert director.troubled == []


def test_an_hour_of_traffic_changes_no_score_much(world: World) -> None:
    before = dict(world.scores)
    traffic = EverydayTraffic(world.customers, SEED, NOON.date())
    for minute in range(60):
        now = NOON + timedelta(minutes=minute)
        world.fold(traffic.events(300, now), now)
    for customer in world.customers:
        if (score := before[customer.id]) is not None:
            assert abs((world.score(customer) or 0) - score) < 8


def test_the_silent_have_no_traffic_and_offices_rest_on_weekends(world: World) -> None:
    traffic = EverydayTraffic(world.customers, SEED, NOON.date())
    fates = {customer.id: customer.fate.name for customer in world.customers}
    on_wednesday, on_saturday = (
        {fates[event.account_id] for event in traffic.events(500, now) if event.signal == "usage"}
        for now in (NOON, NOON + timedelta(days=3))
    )
    assert on_wednesday.isdisjoint({"suddenly silent", "never activated", "fading", "lukewarm"})
    assert on_wednesday - on_saturday == {"weekdays only"}
