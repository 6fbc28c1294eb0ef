"""The everyday traffic of the customers who use the product now."""

from collections import deque
from collections.abc import Sequence
from datetime import date, datetime
from random import Random

from service.demo.world.customers import Customer
from service.demo.world.events import FEATURES, DemoEvent, DemoTicket, nps_answered, used
from service.runtime.ids import new_id

TICKET_SHARE = 0.02
ANSWER_SHARE = 0.02
MOST_OPEN_TICKETS = 12


class EverydayTraffic:
    """A stream of events in which everybody behaves as in the history, so that scores stay."""

    def __init__(self, customers: Sequence[Customer], seed: int, first_day: date) -> None:
        """`first_day` is the demo's first, from which courses count."""
        self._customers = customers
        self._rng = Random(seed)  # noqa: S311 - made-up data
        self._first_day = first_day
        self._today: date | None = None
        self._active: list[Customer] = []
        self._people: list[int] = []
        self._open: deque[DemoTicket] = deque()

    def events(self, count: int, now: datetime) -> list[DemoEvent]:
        """The next `count` events, dated `now`."""
        if self._today != now.date():
            self._choose(now.date())
        return [self._event(now) for _ in range(count)] if self._active else []

    def _choose(self, today: date) -> None:
        """The customers who work today. A customer with only occasional usage has no everyday traffic."""
        self._today = today
        weekend = today.weekday() >= 5
        levels = [(customer, customer.level_at(self._before)) for customer in self._customers]
        active = [
            (customer, max(1, round(customer.seats * level)))
            for customer, level in levels
            if level > 0 and customer.fate.every_days == 1 and not (weekend and customer.fate.rests_on_weekends)
        ]
        self._active = [customer for customer, _ in active]
        self._people = [people for _, people in active]

    @property
    def _before(self) -> int:
        assert self._today is not None
        return (self._first_day - self._today).days

    def _event(self, now: datetime) -> DemoEvent:
        kind = self._rng.random()
        if kind < TICKET_SHARE:
            return self._ticket(now)
        [index] = self._rng.choices(range(len(self._active)), self._people)
        customer = self._active[index]
        if kind < TICKET_SHARE + ANSWER_SHARE:
            score = self._rng.randint(*customer.fate.nps)
            return nps_answered(str(new_id()), customer.id, now, self._rng.randrange(customer.respondents), score)
        features = FEATURES[: max(1, customer.features_at(self._before))]
        # One use each, where a record of the history sums up many: an hour of traffic must not outweigh a month.
        return used(
            str(new_id()), customer.id, now, self._rng.randrange(self._people[index]), self._rng.choice(features)
        )

    def _ticket(self, now: datetime) -> DemoEvent:
        if self._open and self._rng.random() < len(self._open) / MOST_OPEN_TICKETS:
            return self._open.popleft().solved(now, "good").event(now)
        customer = self._rng.choice(self._active)
        ticket = DemoTicket(f"{customer.id}:{new_id()}", customer.id, "normal", now)
        self._open.append(ticket)
        return ticket.event(now)
