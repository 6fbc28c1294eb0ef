"""Stories of customers: trouble, its end, and a return after a long silence; and the choice of who is next."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import NamedTuple

from service.demo.world.customers import Customer
from service.demo.world.events import FEATURES, DemoEvent, DemoTicket, nps_answered, used
from service.runtime.ids import new_id

URGENT_TICKETS = 5
OLD_TICKET_AGE = timedelta(days=40)
RETURNING_PEOPLE = 12


class Beat(NamedTuple):
    """One event of a story: the seconds since its beginning, and the event."""

    after: float
    event: Callable[[datetime], DemoEvent]


def trouble(customer: Customer) -> Iterator[Beat]:
    """Urgent tickets, one of them reopened, then answers of angry people."""
    for number in range(URGENT_TICKETS):
        yield Beat(3.0 * number, partial(_opened, customer, number))
    for respondent in range(customer.respondents):
        yield Beat(17.0 + 2 * respondent, partial(_answered, customer, respondent, respondent % 4))


def relief(customer: Customer) -> Iterator[Beat]:
    """The tickets are solved, and people are content."""
    for number in range(URGENT_TICKETS):
        yield Beat(3.0 * number, partial(_solved, customer, number))
    for respondent in range(customer.respondents):
        yield Beat(17.0 + 2 * respondent, partial(_answered, customer, respondent, 8 + respondent % 3))


def comeback(customer: Customer) -> Iterator[Beat]:
    """People who had stopped using the product use it again."""
    for person in range(min(customer.seats, RETURNING_PEOPLE)):
        yield Beat(2.5 * person, partial(_used, customer, person))


def _escalation(customer: Customer, number: int, now: datetime) -> DemoTicket:
    """One of the tickets that trouble opens and relief solves: always the same ones, so nothing has to be stored."""
    ticket = DemoTicket(f"{customer.id}:escalation-{number}", customer.id, "urgent", now - timedelta(minutes=10))
    if number:
        return ticket
    return DemoTicket(ticket.id, customer.id, "urgent", created_at=now - OLD_TICKET_AGE, status="open", reopens=1)


def _opened(customer: Customer, number: int, now: datetime) -> DemoEvent:
    return _escalation(customer, number, now).event(now)


def _solved(customer: Customer, number: int, now: datetime) -> DemoEvent:
    return _escalation(customer, number, now).solved(now, "good").event(now)


def _answered(customer: Customer, respondent: int, score: int, now: datetime) -> DemoEvent:
    return nps_answered(str(new_id()), customer.id, now, respondent, score)


def _used(customer: Customer, person: int, now: datetime) -> DemoEvent:
    return used(str(new_id()), customer.id, now, person, FEATURES[person % len(FEATURES)])


FIRST_TROUBLE, TROUBLE_EVERY = 3.0, 25.0
FIRST_COMEBACK, COMEBACK_EVERY = 12.0, 120.0
RELIEF_AFTER = 90.0
STORY_SECONDS = 150.0
MOST_IN_TROUBLE = 4

IN_DANGER = (45.0, 62.0)
"""Scores from which trouble leads below 40, where the demo's rule fires; from 45 on it has not fired yet."""
LOST = 40.0
"""A customer with a lower score may come back."""

Maker = Callable[[datetime], DemoEvent]


class Director:
    """Runs stories on customers. Times are seconds of any clock that only goes forward."""

    def __init__(self, customers: Mapping[str, Customer], troubled: Iterable[str], now: float) -> None:
        """`troubled` are the customers that an earlier run left in trouble: their relief comes first."""
        self._customers = customers
        self._next_trouble = now + FIRST_TROUBLE
        self._next_comeback = now + FIRST_COMEBACK
        self._busy_until: dict[str, float] = {}
        self._relief_at: dict[str, float] = {account_id: now for account_id in troubled if account_id in customers}
        self._beats: list[tuple[float, int, Maker]] = []
        self._number = count()

    @property
    def troubled(self) -> list[str]:
        """The customers whose relief has not begun."""
        return list(self._relief_at)

    def events(self, now: float, moment: datetime, scores: Mapping[str, float | None]) -> list[DemoEvent]:
        """The events up to `now`, dated `moment`; `scores` by account id decide whose stories begin."""
        self._relieve(now)
        self._begin(now, scores)
        return [make(moment) for make in self._due(now)]

    def _relieve(self, now: float) -> None:
        for account_id in [each for each, at in self._relief_at.items() if at <= now]:
            del self._relief_at[account_id]
            self._play(account_id, relief(self._customers[account_id]), now)

    def _begin(self, now: float, scores: Mapping[str, float | None]) -> None:
        free = {
            account_id: score
            for account_id, score in scores.items()
            if score is not None and account_id in self._customers and self._busy_until.get(account_id, now) <= now
        }
        if now >= self._next_trouble and len(self._relief_at) < MOST_IN_TROUBLE:
            self._next_trouble = now + TROUBLE_EVERY
            if chosen := _lowest(free, *IN_DANGER):
                self._relief_at[chosen] = now + RELIEF_AFTER
                self._play(chosen, trouble(self._customers[chosen]), now)
        if now >= self._next_comeback:
            self._next_comeback = now + COMEBACK_EVERY
            if chosen := _lowest(free, 0.0, LOST):
                self._play(chosen, comeback(self._customers[chosen]), now)

    def _play(self, account_id: str, story: Iterable[Beat], now: float) -> None:
        self._busy_until[account_id] = now + STORY_SECONDS
        for beat in story:
            heapq.heappush(self._beats, (now + beat.after, next(self._number), beat.event))

    def _due(self, now: float) -> Iterator[Maker]:
        while self._beats and self._beats[0][0] <= now:
            yield heapq.heappop(self._beats)[2]


def _lowest(scores: Mapping[str, float], low: float, high: float) -> str | None:
    return min((each for each in scores if low <= scores[each] < high), key=lambda each: scores[each], default=None)
