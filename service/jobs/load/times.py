"""Times of an old log: time zones for those without an offset, and shifting all of them by whole days."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from scoring.state.calendar import day_of, start_of
from service.runtime.errors import HealthError


def zone_of(name: str | None) -> ZoneInfo | None:
    """The time zone of that name in the IANA database; None for None. Raises `HealthError` for an unknown one."""
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise HealthError(
            f"--timezone {name} is not a time zone that this machine knows",
            "Give a name of the IANA database, for example Europe/Berlin or UTC",
        ) from None


def in_utc(moment: datetime, zone: ZoneInfo) -> datetime:
    """A local time in UTC.

    A time that occurs twice, as clocks are set back, is the earlier one; one that is skipped counts on from before the
    gap. Raises `OverflowError` at the ends of the calendar.
    """
    return moment.replace(tzinfo=zone).astimezone(UTC)


def localised(text: str, zone: ZoneInfo | None) -> str:
    """An RFC 3339 time without an offset, converted to UTC; any other text stays as it is."""
    if zone is None:
        return text
    try:
        moment = msgspec.convert(text, datetime)
        return text if moment.tzinfo is not None else in_utc(moment, zone).isoformat()
    except (msgspec.ValidationError, OverflowError):
        return text


def days_to_now(newest: int, now: int) -> int:
    """The number of days by which a log with newest event `newest` moves, so that it ends today or, if that time of day
    is yet to come, yesterday. Both in microseconds.
    """
    days = day_of(now) - day_of(newest)
    return days if newest + start_of(days) <= now else days - 1


def moved_source(source: str, days: int) -> str:
    """The source of shifted events: they are other events than those of the log.

    Under the original source, a consumer that has skipped the log's events as late would drop these as duplicates.
    """
    return f"{source};moved={days:+}d" if days else source


def shift_moment(text: str, days: int) -> str:
    """An RFC 3339 time moved by whole days. An invalid one stays: the check of the event names the fault."""
    try:
        moment = msgspec.convert(text, datetime)
        return (moment + timedelta(days=days)).isoformat()
    except (msgspec.ValidationError, OverflowError):
        return text


def shift_day(text: str, days: int) -> str:
    """A calendar day (YYYY-MM-DD) moved by whole days; an invalid one stays."""
    try:
        return (msgspec.convert(text, date) + timedelta(days=days)).isoformat()
    except (msgspec.ValidationError, OverflowError):
        return text
