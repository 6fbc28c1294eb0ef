"""Times without an offset, and the time zone that they are of."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from service.runtime.errors import HealthError


def zone_of(name: str | None) -> ZoneInfo | None:
    """The time zone of that name in the IANA database; None for None. Raises `HealthError` if there is none."""
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise HealthError(
            f"--timezone {name} is no time zone that this machine knows",
            "Give a name of the IANA database, for example Europe/Berlin or UTC",
        ) from None


def in_utc(moment: datetime, zone: ZoneInfo) -> datetime:
    """A local time in UTC.

    A time that comes twice, as clocks are set back, is the earlier one; one that is skipped counts on from before the
    gap. Raises `OverflowError` at the ends of the calendar.
    """
    return moment.replace(tzinfo=zone).astimezone(UTC)


def localised(text: str, zone: ZoneInfo | None) -> str:
    """An RFC 3339 time without an offset, as one in UTC; any other text stays as it is."""
    if zone is None:
        return text
    try:
        moment = msgspec.convert(text, datetime)
        return text if moment.tzinfo is not None else in_utc(moment, zone).isoformat()
    except (msgspec.ValidationError, OverflowError):
        return text
