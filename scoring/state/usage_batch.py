"""Events that are folded together, read once: for counting usage, and for choosing how to evaluate them."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from scoring.state.events import Event, UsageEvent

UsageEntry = tuple[int, int, str, int, int]
"""Day, time, feature, user or `NOBODY`, quantity."""
NOBODY = -1
_NEVER: Final = 2**62


class Arrivals(Struct):
    """Usage as entries to count, and all other events unchanged.

    Without usage, `earliest` is after every day, and `latest` and `newest` are before.
    """

    entries: list[UsageEntry]
    others: list[Event]
    newest: int
    """The newest broker day of usage."""
    earliest: int
    """The first day with usage, late or not."""
    latest: int
    late: int
    """The number of usage events that are older than retention by their own broker day, and left out."""


def arrivals(events: Sequence[Event], retention: int) -> Arrivals:
    """Read each event once: there are many, scattered in memory, and reading them takes longer than counting."""
    earliest, latest, newest, late = _NEVER, -1, -1, 0
    entries: list[UsageEntry] = []
    others: list[Event] = []
    append = entries.append
    for event in events:
        if event.__class__ is not UsageEvent:
            others.append(event)
            continue
        day, broker_day = event.day, event.broker_day
        if broker_day > newest:
            newest = broker_day
        if day > latest:
            latest = day
        if day < earliest:
            earliest = day
        if day <= broker_day - retention:
            late += 1
            continue
        user = event.user
        append((day, event.at, event.feature, NOBODY if user is None else user, event.quantity))
    return Arrivals(entries, others, newest, earliest, latest, late)
