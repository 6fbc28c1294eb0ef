"""Events that are folded together, read once: for counting usage, and for deciding how to fold them."""

from collections.abc import Sequence

from msgspec import Struct

from scoring.state.events import Event, UsageEvent

UsageEntry = tuple[int, int, str, int, int]
"""Day, time, feature, user or `NOBODY`, quantity."""
NOBODY = -1
NEVER = 2**63
"""A day or time after all that are possible."""


class Arrivals(Struct, gc=False):
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
    oldest: int
    """The oldest broker day of usage; without any, after every day."""
    first_at: int
    """The time of the earliest usage in microseconds, late or not; without any, after every time."""
    last_at: int
    """The time of the latest usage in microseconds, late or not; without any, before every time."""


def arrivals(events: Sequence[Event], retention: int) -> Arrivals:
    """Read each event once: there are many, scattered in memory, and reading them takes longer than counting."""
    latest, newest, oldest, late = -1, -1, NEVER, 0
    first_at, last_at = NEVER, -NEVER
    entries: list[UsageEntry] = []
    others: list[Event] = []
    append = entries.append
    for event in events:
        if event.__class__ is not UsageEvent:
            others.append(event)
            continue
        day, at, broker_day = event.day, event.at, event.broker_day
        if broker_day > newest:
            newest = broker_day
        if broker_day < oldest:
            oldest = broker_day
        if at < first_at:
            first_at = at
        if at > last_at:
            last_at = at
        if day > latest:
            latest = day
        if day <= broker_day - retention:
            late += 1
            continue
        user = event.user
        append((day, at, event.feature, NOBODY if user is None else user, event.quantity))
    return Arrivals(entries, others, newest, latest, late, oldest, first_at, last_at)
