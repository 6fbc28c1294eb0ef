"""What becomes of a customer: how much it uses the product, what it asks for, and how it feels about it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, eq=False)
class Fate:
    """One way that things can go.

    `level` and `features` are given by days before the demo's first day and run straight between the points: the share
    of the seats that are in use, and how many features are.
    """

    name: str
    level: Points
    features: Points
    every_days: int = 1
    """Used on each such day; 1 is every day."""
    rests_on_weekends: bool = False
    jitter_days: int = 0
    """How far the course of things may lie earlier from one customer to the next."""
    tickets_a_week: float = 0.4
    urgent: float = 0.1
    """Share of tickets of high or urgent priority."""
    neglected: float = 0.0
    """Share of tickets that are never solved."""
    nps: tuple[int, int] = (7, 10)
    """Lowest and highest answer."""

    def level_at(self, days_before: float) -> float:
        """The share of seats in use, so many days before the demo's first day; negative days are after it."""
        return _between(self.level, days_before)

    def features_at(self, days_before: float) -> int:
        """How many features are in use."""
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

# Twenty accounts hold every fate; more accounts repeat them.
COURSE: tuple[Fate, ...] = (
    *(THRIVING, FADING, STEADY, OFFICE, NOISY),
    *(GROWING, LUKEWARM, STEADY, SILENT, THRIVING),
    *(UNHAPPY, STEADY, FADING, OFFICE, THRIVING),
    *(LUKEWARM, NEVER, GROWING, STEADY, LUKEWARM),
)
