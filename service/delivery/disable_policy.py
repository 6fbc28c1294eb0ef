"""The rule that disables an endpoint after long failure. Pure: the time is an argument."""

from dataclasses import dataclass
from datetime import datetime, timedelta

WARN_AFTER = timedelta(days=3)
DISABLE_AFTER = timedelta(days=5)
RECENT = timedelta(days=1)
"""One failure now and one long ago don't make an outage: nobody tried in between."""


@dataclass(frozen=True, slots=True)
class Warn:
    """Warn operators that the endpoint will be disabled, at `disabled_at` at the earliest."""

    disabled_at: datetime


@dataclass(frozen=True, slots=True)
class Disable:
    """The endpoint has failed for too long."""


DisableVerdict = Warn | Disable | None


def is_due(failing_since: datetime, warned_at: datetime | None, now: datetime) -> bool:
    """True if `decide` may decide anything; cheaper, as it needs less."""
    return now - failing_since >= (WARN_AFTER if warned_at is None else DISABLE_AFTER)


def decide(
    failing_since: datetime, warned_at: datetime | None, attempted_at: datetime | None, now: datetime
) -> DisableVerdict:
    """The decision after an attempt that failed at `now`, as all have since `failing_since`.

    `attempted_at` is the start of the previous attempt, None if there was none; the endpoint is disabled only if it
    lies within `RECENT`. The warning is given once, before that.
    """
    failing = now - failing_since
    if failing >= DISABLE_AFTER and attempted_at is not None and now - attempted_at <= RECENT:
        return Disable()
    if failing >= WARN_AFTER and warned_at is None:
        return Warn(max(failing_since + DISABLE_AFTER, now))
    return None
