"""Made-up customers for a simulated year: their lives, as the events that their topics would bring."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count
from random import Random
from typing import Any

from msgspec.structs import replace

from scoring.state.events import AttributesEvent, Event, SurveyEvent, SurveyKind, TicketEvent, UsageEvent
from tests.support.oracle import DAY, HOUR, day_number

MILLION = 1_000_000
FEATURES = ("login", "export", "report", "share")
OWNERS = ("ann", "bob")


@dataclass
class Customer:
    """One customer's year; moments are in microseconds, `start` is its first day."""

    id: str
    start: int
    days: int
    random: Random
    events: list[tuple[int, Event]] = field(default_factory=list)
    """The events, each with the time at which the broker took it."""
    _ids: Iterator[int] = field(default_factory=count)

    def moment(self, day: int) -> int:
        """Some time on a day, counted from the first."""
        return (self.start + day) * DAY + self.random.randrange(DAY)

    def tell(self, event: Event, delay: int = 0) -> None:
        """Have the broker take an event so long after it happened."""
        taken = event.at + delay
        self.events.append((taken, replace(event, broker_day=day_number(taken), id=f"{self.id}-{next(self._ids)}")))

    def use(self, day: int, users: int = 1) -> None:
        """Some people use something. One event in twelve arrives days late."""
        at = self.moment(day)
        delay = self.random.choice([0] * 11 + [self.random.randrange(1, 9) * DAY])
        for user in range(users):
            feature = self.random.choice(FEATURES)
            self.tell(UsageEvent(self.id, at, day_number(at), 0, feature, user, self.random.randint(1, 4)), delay)

    def change(self, day: int, **values: Any) -> None:
        """Attributes change."""
        self.tell(AttributesEvent(self.id, self.moment(day), 0, "", values))

    def ask(self, day: int, survey: SurveyKind, score: int, respondent: int = 0) -> None:
        """Somebody answers a survey."""
        scale = {"nps": 10, "csat": 5, "ces": 7}[survey]
        self.tell(SurveyEvent(self.id, self.moment(day), 0, "", survey, respondent, score * MILLION, scale * MILLION))

    def complain(self, day: int, solved_after: int | None) -> None:
        """A ticket is opened, and solved some days later, or never."""
        ticket, created = f"T{next(self._ids)}", self.moment(day)
        priority = self.random.choice(["low", "normal", "urgent"])
        self.tell(TicketEvent(self.id, created, 0, "", ticket, "open", priority, created))
        if solved_after is not None:
            solved = created + solved_after * DAY + HOUR
            good = self.random.choice(["good", "bad", ""])
            self.tell(TicketEvent(self.id, solved, 0, "", ticket, "solved", priority, created, solved, 0, good))

    def regularly(self, first: int, last: int, every: int, users: int = 1) -> None:
        """Usage at an interval of days, give or take one."""
        for day in range(first, last, every):
            self.use(min(last, day + self.random.choice([0, 0, 0, 1])), users)


def _busy(who: Customer) -> None:
    first = who.random.randrange(who.days // 2)
    who.regularly(first, first + who.days // 4, 2, users=2)


def _weekly(who: Customer) -> None:
    who.regularly(who.random.randrange(7), who.days, 7)


def _monthly(who: Customer) -> None:
    who.regularly(who.random.randrange(30), who.days, 30)


def _dying(who: Customer) -> None:
    end = who.random.randrange(40, who.days // 2)
    who.regularly(end - 40, end, who.random.choice([3, 5]))


def _reviving(who: Customer) -> None:
    end = who.random.randrange(40, who.days // 3)
    who.regularly(end - 40, end, 4)
    who.regularly(end + who.random.randrange(20, 100), end + 120, 4, users=2)


def _silent(who: Customer) -> None:
    for _ in range(who.random.randint(1, 3)):
        who.use(who.random.randrange(who.days))


def _unused(who: Customer) -> None:
    who.change(who.random.randrange(who.days), name="Nobody yet")


KINDS: dict[str, tuple[Callable[[Customer], None], int]] = {
    "busy": (_busy, 3),
    "weekly": (_weekly, 6),
    "monthly": (_monthly, 20),
    "dying": (_dying, 20),
    "reviving": (_reviving, 20),
    "silent": (_silent, 20),
    "unused": (_unused, 6),
}
"""The kinds of lives, and how many of a hundred customers have each."""


def _has_trouble(who: Customer) -> None:
    storm = who.random.randrange(who.days)
    for _ in range(who.random.randint(2, 7)):
        who.complain(storm + who.random.randrange(5), who.random.choice([None, 0, 2, 9, 30]))


def _answers(who: Customer) -> None:
    for day in range(who.random.randrange(60), who.days, 110):
        who.ask(day, "nps", who.random.choice([0, 5, 7, 9, 10]), who.random.randrange(2))


def _is_known(who: Customer) -> None:
    first = who.random.randrange(30)
    started = date(1970, 1, 1) + timedelta(days=who.start + who.random.randrange(-80, 300))
    segment, stage = who.random.choice(["smb", "enterprise", "public"]), who.random.choice(["trial", "live"])
    owner = who.random.choice(OWNERS)
    who.change(first, segment=segment, stage=stage, owner=owner, seats=3, started_on=started.isoformat())
    if who.random.random() < 0.3:
        later = who.random.randrange(60, who.days)
        who.change(later, stage="live", segment=who.random.choice(["smb", "enterprise"]), owner=OWNERS[0])


def customers(how_many: int, start: int, days: int, seed: int) -> list[Customer]:
    """A number of customers, and all their events between day number `start` and `days` later."""
    found: list[Customer] = []
    kinds = [kind for kind, (_, share) in KINDS.items() for _ in range(share)]
    for number in range(how_many):
        random = Random(f"{seed} {number}")
        kind = random.choice(kinds)
        who = Customer(f"{kind}-{number:03}", start, days, random)
        KINDS[kind][0](who)
        for also, chance in ((_has_trouble, 0.3), (_answers, 0.3), (_is_known, 0.6)):
            if random.random() < chance:
                also(who)
        who.events = sorted([each for each in who.events if each[0] < (start + days) * DAY], key=lambda each: each[0])
        found.append(who)
    return found
