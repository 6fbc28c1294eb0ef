"""Events that are folded together, looked at once: for counting usage, and for deciding on the way to judge them."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from scoring.state.events import Event, UsageEvent

UsageEntry = tuple[int, int, str, int, int]
"""Day, time, feature, user or `NOBODY`, quantity."""
NOBODY = -1
_NEVER: Final = 2**62


class Arrivals(Struct):
    """Usage as entries to be counted, and all other events as they are. Without usage no day is before `earliest`, or
    after `latest` and `newest`.
    """

    entries: list[UsageEntry]
    others: list[Event]
    newest: int
    """The newest broker day of usage."""
    earliest: int
    """The first day that usage is of, and below the last one; late or not."""
    latest: int
    late: int
    """How much usage is left out, being older than is kept by its own broker day."""


def arrivals(events: Sequence[Event], retention: int) -> Arrivals:
    """Look at each event: there are many, all over the memory, and this takes longer than to count them."""
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
