"""The faults of a run, in order: a pure function of the seed."""

from random import Random
from typing import Literal, NamedTuple

Kind = Literal[
    "kill", "pause", "slow down", "scale up", "scale down", "restart Postgres", "restart the broker", "add a partition"
]

BAG: tuple[Kind, ...] = (
    "kill",
    "kill",
    "pause",
    "pause",
    "scale up",
    "scale down",
    "restart Postgres",
    "restart the broker",
    "slow down",
    "add a partition",
)
"""Faults are drawn from here without putting back, so that every kind comes in any run of this length."""
FIRST, FEWEST, MOST = 3, 3, 4
"""Consumers: at the start, and as few and as many as there may be, with one that is paused and one that starts."""


class Fault(NamedTuple):
    """One fault. `lot`, from 0 to 1, picks whom it strikes; all that is drawn is drawn here."""

    kind: Kind
    after: float
    """Seconds since the one before."""
    lot: float
    delay: float
    """Seconds until a killed consumer is replaced."""


def write(seed: int, rounds: int) -> list[Fault]:
    """The faults of a run."""
    chance = Random(seed)
    bag: list[Kind] = []
    consumers = FIRST
    faults = []
    for _ in range(rounds):
        bag = bag or chance.sample(BAG, len(BAG))
        kind = bag.pop()
        if kind in ("scale up", "scale down"):
            kind = "scale down" if consumers == MOST else "scale up" if consumers == FEWEST else kind
            consumers += 1 if kind == "scale up" else -1
        faults.append(Fault(kind, chance.uniform(1, 2), chance.random(), chance.uniform(0, 2)))
    return faults
