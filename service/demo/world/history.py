"""The events before the demo began, and while it was not running: a pure function of customers and time."""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from random import Random

from service.demo.world.customers import Customer
from service.demo.world.events import FEATURES, DemoEvent, DemoTicket, Priority, nps_answered, used

HISTORY_DAYS = 90
LONGEST_TICKET = timedelta(days=9)
SURVEY_EVERY_DAYS = 60
MOST_EVENTS_A_DAY = 16

_MORNING = time(6, tzinfo=UTC)
_WORKDAY_SECONDS = 14 * 3600


def happened(
    customers: Sequence[Customer], seed: int, first_day: date, since: datetime, until: datetime
) -> Iterator[DemoEvent]:
    """All events after `since` and not after `until`, day by day.

    `first_day` is the demo's first, from which courses count. The same arguments give the same events, and adjoining
    times give what the whole would.
    """
    day = (since - LONGEST_TICKET).date()
    while day <= until.date():
        for customer in customers:
            rng = Random(f"{seed}/{customer.id}/{day}")  # noqa: S311 - made-up data
            for event in _day(customer, rng, day, (first_day - day).days):
                if since < event.at <= until:
                    yield event
        day += timedelta(days=1)


def introductions(customers: Sequence[Customer], at: datetime) -> list[DemoEvent]:
    """The events that introduce the customers, at `at` or on the morning of their first day, if that is later."""
    return [
        DemoEvent(
            "account",
            f"{customer.id}:introduced",
            customer.id,
            max(at, datetime.combine(customer.started_on, _MORNING)),
            customer.attributes,
        )
        for customer in customers
    ]


def _day(customer: Customer, rng: Random, day: date, days_before: int) -> Iterator[DemoEvent]:
    morning = datetime.combine(day, _MORNING)
    if customer.started_on <= day:
        yield from _usage(customer, rng, morning, days_before)
        yield from _tickets(customer, rng, morning)
        yield from _answers(customer, rng, morning)


def _usage(customer: Customer, rng: Random, morning: datetime, days_before: int) -> Iterator[DemoEvent]:
    level = customer.level_at(days_before)
    weekend = morning.weekday() >= 5
    resting = (weekend and customer.fate.rests_on_weekends) or (days_before - customer.delay) % customer.fate.every_days
    if level <= 0 or resting:
        return
    people = max(1, round(customer.seats * level))
    count = min(3 + people // 8, MOST_EVENTS_A_DAY)
    if weekend:
        count = max(1, count // 3)
    features = FEATURES[: max(1, customer.features_at(days_before))]
    turn = morning.toordinal() * count
    for number in range(count):
        # In turns, so that within weeks everybody appears and every feature is used.
        event_id = f"{customer.id}:{morning:%Y%m%d}:u{number}"
        feature = features[(turn + number) % len(features)]
        quantity = rng.randint(20, 60)
        yield used(event_id, customer.id, _moment(rng, morning), (turn + number) % people, feature, quantity)


def _tickets(customer: Customer, rng: Random, morning: datetime) -> Iterator[DemoEvent]:
    fate = customer.fate
    if rng.random() >= fate.tickets_a_week / 7:
        return
    priorities: tuple[Priority, ...] = ("high", "urgent") if rng.random() < fate.urgent else ("low", "normal", "normal")
    created_at = _moment(rng, morning)
    ticket = DemoTicket(f"{customer.id}:{morning:%Y%m%d}", customer.id, rng.choice(priorities), created_at)
    yield ticket.event(created_at)
    if rng.random() < fate.neglected:
        return
    solved_at = created_at + timedelta(hours=min(rng.expovariate(1 / 18) + 0.5, 200))
    yield ticket.solved(solved_at, rng.choice(("good", "good", "bad", None))).event(solved_at)


def _answers(customer: Customer, rng: Random, morning: datetime) -> Iterator[DemoEvent]:
    for respondent in range(customer.respondents):
        if (morning.toordinal() + 11 * respondent) % SURVEY_EVERY_DAYS == 0:
            event_id = f"{customer.id}:{morning:%Y%m%d}:n{respondent}"
            score = rng.randint(*customer.fate.nps)
            yield nps_answered(event_id, customer.id, _moment(rng, morning), respondent, score)


def _moment(rng: Random, morning: datetime) -> datetime:
    return morning + timedelta(seconds=rng.randrange(_WORKDAY_SECONDS))
