"""Events that are folded together, read once for counting usage."""

from collections.abc import Sequence

from msgspec import Struct

from scoring.state.events import Event, UsageEvent

UsageEntry = tuple[int, int, str, int, int]
"""Day, time, feature, user or `NOBODY`, quantity."""
NOBODY = -1


class Arrivals(Struct):
    """Usage as entries to count, and all other events unchanged. Without usage, `latest` and `newest` are before every
    day.
    """

    entries: list[UsageEntry]
    others: list[Event]
    newest: int
    """The newest broker day of usage."""
    latest: int
    """The last day with usage, late or not."""
    late: int
    """The number of usage events that are older than retention by their own broker day, and left out."""


def arrivals(events: Sequence[Event], retention: int) -> Arrivals:
    """Read each event once: there are many, scattered in memory, and reading them takes longer than counting."""
    latest, newest, late = -1, -1, 0
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
        if day <= broker_day - retention:
            late += 1
            continue
        user = event.user
        append((day, event.at, event.feature, NOBODY if user is None else user, event.quantity))
    return Arrivals(entries, others, newest, latest, late)
