"""Made-up customers, each with its own usage, tickets and mood. Plausible, and the same for the same seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from random import Random
from typing import Any

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, eq=False)
class Fate:
    """One possible course.

    `level` and `features` are given by days before the demo's first day and interpolated linearly: the share of the
    seats in use, and the number of features in use.
    """

    name: str
    level: Points
    features: Points
    every_days: int = 1
    """Days between days with usage; 1 is every day."""
    rests_on_weekends: bool = False
    jitter_days: int = 0
    """The most days by which a customer's course is earlier than another's."""
    tickets_a_week: float = 0.4
    urgent: float = 0.1
    """The share of tickets of high or urgent priority."""
    neglected: float = 0.0
    """The share of tickets that are never solved."""
    nps: tuple[int, int] = (7, 10)
    """The lowest and highest answer."""

    def level_at(self, days_before: float) -> float:
        """The share of seats in use `days_before` the demo's first day; negative days are after it."""
        return _between(self.level, days_before)

    def features_at(self, days_before: float) -> int:
        """The number of features in use."""
        return round(_between(self.features, days_before))


def _between(points: Points, x: float) -> float:
    """A line through points of falling x, flat beyond its ends."""
    if x >= points[0][0]:
        return points[0][1]
    for (x0, y0), (x1, y1) in pairwise(points):
        if x >= x1:
            return y1 + (y0 - y1) * (x - x1) / (x0 - x1)
    return points[-1][1]


THRIVING = Fate("thriving", [(0, 0.9)], [(0, 9)], nps=(8, 10))
STEADY = Fate("steady", [(90, 0.6), (0, 0.5)], [(0, 5)])
OFFICE = Fate("weekdays only", [(0, 0.65)], [(0, 5)], rests_on_weekends=True)
GROWING = Fate("growing", [(90, 0.15), (0, 0.85)], [(90, 3), (0, 9)], nps=(8, 10))
LUKEWARM = Fate(
    "lukewarm", [(90, 0.35), (0, 0.12)], [(90, 4), (0, 2)], every_days=5, jitter_days=4, neglected=0.1, nps=(5, 9)
)  # fmt: skip
FADING = Fate(
    "fading", [(90, 0.6), (45, 0.4), (12, 0.1), (9, 0.0)], [(90, 6), (12, 2)],
    every_days=3, jitter_days=6, urgent=0.2, neglected=0.1, nps=(5, 9),
)  # fmt: skip
SILENT = Fate("suddenly silent", [(18, 0.7), (17, 0.0)], [(0, 6)], jitter_days=20)
NEVER = Fate("never activated", [(0, 0.0)], [(0, 0)], tickets_a_week=0.1)
NOISY = Fate("full of tickets", [(0, 0.5)], [(0, 5)], tickets_a_week=4, urgent=0.35, neglected=0.2, nps=(4, 8))
UNHAPPY = Fate(
    "unhappy", [(90, 0.55), (0, 0.15)], [(90, 5), (0, 3)],
    every_days=2, jitter_days=1, rests_on_weekends=True, tickets_a_week=1, urgent=0.3, neglected=0.15, nps=(0, 6),
)  # fmt: skip

# Twenty accounts hold every course; more accounts repeat them.
COURSE: tuple[Fate, ...] = (
    *(THRIVING, FADING, STEADY, OFFICE, NOISY),
    *(GROWING, LUKEWARM, STEADY, SILENT, THRIVING),
    *(UNHAPPY, STEADY, FADING, OFFICE, THRIVING),
    *(LUKEWARM, NEVER, GROWING, STEADY, LUKEWARM),
)


FIRST_WORDS = (
    "Alder Amberley Ashcombe Bellweather Birchgate Bluefinch Brightwater Calder Cedarline Cinderhill Clearbrook "
    "Copperfield Cranmore Dovecote Driftwood Eastmere Elmstead Emberly Fairhaven Fernhollow Foxglove Glenrowan "
    "Goldcrest Greenbank Halcyon Harrowgate Hazelwood Heathfield Hollybush Ironbridge Juniper Kestrel Kingfisher "
    "Larkspur Lindenfall Lockhart Maplethorn Marlowe Meadowlark Millrace Moorland Nightingale Northgate Oakhurst "
    "Orchard Osprey Pennycress Pinecrest Quarrybank Redwing Ridgeway Rosemount Saltmarsh Silverbirch Stonebridge "
    "Sunfield Tamarack Thistledown Umberlake Violet Wavecrest Westbourne Willowmere Yarrow"
)
SECOND_WORDS = (
    "Analytics Biotech Capital Clinics Components Education Energy Foods Freight Health Hotels Insurance Labs "
    "Logistics Media Mobility Networks Retail Robotics Software Studios Systems Textiles Travel"
)
OWNERS = ("ana.ruiz", "ben.cole", "chloe.marsh", "dev.patel", "emi.tanaka", "finn.berg")
MOST_CUSTOMERS = 1_000


@dataclass(frozen=True, slots=True)
class Customer:
    """One account. `delay` is the number of days by which its course is earlier."""

    id: str
    name: str
    segment: str
    stage: str
    owner: str
    seats: int
    arr: int
    started_on: date
    renews_on: date
    fate: Fate
    delay: int
    scale: float

    @property
    def attributes(self) -> dict[str, Any]:
        """`data` of the event that describes it."""
        return {
            "name": self.name,
            "segment": self.segment,
            "stage": self.stage,
            "owner": self.owner,
            "seats": self.seats,
            "arr": self.arr,
            "started_on": self.started_on.isoformat(),
            "renews_on": self.renews_on.isoformat(),
        }

    @property
    def respondents(self) -> int:
        """The number of its people who answer surveys."""
        return min(8, 2 + self.seats // 10)

    def level_at(self, days_before: float) -> float:
        """The share of its seats in use `days_before` the demo's first day."""
        return min(self.fate.level_at(days_before - self.delay) * self.scale, 1.0)

    def features_at(self, days_before: float) -> int:
        """The number of features that it uses."""
        return self.fate.features_at(days_before - self.delay)


def make_customers(count: int, seed: int, today: date) -> list[Customer]:
    """The first `count` customers, as they are `today`, the demo's first day."""
    rng = Random(seed)  # noqa: S311 - made-up data
    names = [f"{first} {second}" for first in FIRST_WORDS.split() for second in SECOND_WORDS.split()]
    rng.shuffle(names)
    return [_customer(names[index], COURSE[index % len(COURSE)], rng, today) for index in range(count)]


def _customer(name: str, fate: Fate, rng: Random, today: date) -> Customer:
    segment, fewest, most, price = rng.choices(
        [("enterprise", 80, 240, 720), ("mid-market", 25, 80, 840), ("small-business", 5, 25, 960)], [2, 3, 4]
    )[0]
    seats = rng.randint(fewest, most)
    tenure = rng.randint(20, 45) if fate is NEVER else rng.randint(100, 1500)
    started_on = today - timedelta(days=tenure)
    to_renewal = 365 - tenure % 365
    return Customer(
        id=name.lower().replace(" ", "-"),
        name=name,
        segment=segment,
        stage=_stage(tenure, to_renewal),
        owner=f"{rng.choice(OWNERS)}@example.com",
        seats=seats,
        arr=round(seats * price * rng.uniform(0.8, 1.1) / 100) * 100,
        started_on=started_on,
        renews_on=today + timedelta(days=to_renewal),
        fate=fate,
        delay=rng.randint(0, fate.jitter_days),
        scale=rng.uniform(0.85, 1.1),
    )


def _stage(tenure: int, to_renewal: int) -> str:
    if tenure < 90:
        return "onboarding"
    return "renewal" if to_renewal <= 90 else "live"


def by_id(customers: Sequence[Customer]) -> dict[str, Customer]:
    """The customers by account id."""
    return {customer.id: customer for customer in customers}
