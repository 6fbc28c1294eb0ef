"""What befalls customers while somebody watches: trouble, its end, and a return after a long silence."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

from service.demo.world.customers import Customer
from service.demo.world.events import FEATURES, DemoEvent, nps_answered, used
from service.demo.world.tickets import DemoTicket
from service.runtime.ids import new_id

URGENT_TICKETS = 5
OLD_TICKET_AGE = timedelta(days=40)
RETURNING_PEOPLE = 12


class Beat(NamedTuple):
    """One thing that happens: how many seconds into the story, and the event that tells of it."""

    after: float
    event: Callable[[datetime], DemoEvent]


def trouble(customer: Customer) -> Iterator[Beat]:
    """Urgent tickets, one of them an old one that comes back, then answers of angry people."""
    for number in range(URGENT_TICKETS):
        yield Beat(3.0 * number, partial(_opened, customer, number))
    for respondent in range(customer.respondents):
        yield Beat(17.0 + 2 * respondent, partial(_answered, customer, respondent, respondent % 4))


def relief(customer: Customer) -> Iterator[Beat]:
    """The tickets are solved, and people say so."""
    for number in range(URGENT_TICKETS):
        yield Beat(3.0 * number, partial(_solved, customer, number))
    for respondent in range(customer.respondents):
        yield Beat(17.0 + 2 * respondent, partial(_answered, customer, respondent, 8 + respondent % 3))


def comeback(customer: Customer) -> Iterator[Beat]:
    """People who had stopped using the product use it again."""
    for person in range(min(customer.seats, RETURNING_PEOPLE)):
        yield Beat(2.5 * person, partial(_used, customer, person))


def _escalation(customer: Customer, number: int, now: datetime) -> DemoTicket:
    """One of the tickets that trouble opens and relief solves: the same ones each time, so nothing has to be kept."""
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
