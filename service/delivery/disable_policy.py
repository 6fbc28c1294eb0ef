"""How long an endpoint may fail before it is disabled. Pure: the time is an argument."""

from dataclasses import dataclass
from datetime import datetime, timedelta

WARN_AFTER = timedelta(days=3)
DISABLE_AFTER = timedelta(days=5)
RECENT = timedelta(days=1)
"""One failure now and one long ago don't make an outage: between the two nobody tried."""


@dataclass(frozen=True, slots=True)
class Warn:
    """Operators are to be told that the endpoint will be disabled, at `disabled_at` at the earliest."""

    disabled_at: datetime


@dataclass(frozen=True, slots=True)
class Disable:
    """The endpoint has failed for too long."""


DisableVerdict = Warn | Disable | None


def is_due(failing_since: datetime, warned_at: datetime | None, now: datetime) -> bool:
    """Whether `judge` may come to a verdict at all; cheaper, as it asks for less."""
    return now - failing_since >= (WARN_AFTER if warned_at is None else DISABLE_AFTER)


def decide(
    failing_since: datetime, warned_at: datetime | None, attempted_at: datetime | None, now: datetime
) -> DisableVerdict:
    """What follows from an attempt that failed at `now`, as all have since `failing_since`.

    `attempted_at` is when the attempt before it began, None if there was none. Within `RECENT` it has to be for the
    endpoint to be disabled. The warning comes once, before that.
    """
    failing = now - failing_since
    if failing >= DISABLE_AFTER and attempted_at is not None and now - attempted_at <= RECENT:
        return Disable()
    if failing >= WARN_AFTER and warned_at is None:
        return Warn(max(failing_since + DISABLE_AFTER, now))
    return None
