"""Made-up customers: plausible, and the same for the same seed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import Any

from service.demo.world.customer_life import COURSE, NEVER, Fate

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
    """One account. `delay` is by how many days its fate's course lies earlier."""

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
        """`data` of the event that tells about it."""
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
        """How many of its people answer surveys."""
        return min(8, 2 + self.seats // 10)

    def level_at(self, days_before: float) -> float:
        """The share of its seats in use, so many days before the demo's first day."""
        return min(self.fate.level_at(days_before - self.delay) * self.scale, 1.0)

    def features_at(self, days_before: float) -> int:
        """How many features it uses."""
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
