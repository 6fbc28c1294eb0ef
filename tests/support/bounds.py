"""The bounds of events, looked up event by event."""

from collections.abc import Collection

from scoring.events import AttributesEvent, Bounds, Event


def bounds_of(events: Collection[Event]) -> Bounds:
    """The narrowest ones; there must be an event."""
    times = {event.at for event in events}
    days = {event.broker_day for event in events}
    attributes = any(isinstance(event, AttributesEvent) for event in events)
    return Bounds(min(times), max(times), min(days), max(days), attributes)
