"""Days and instants as integers. A day is a UTC calendar day, numbered from 1970-01-01; a window is whole days."""

from datetime import UTC, date, datetime, timedelta

MICROSECONDS_PER_DAY = 86_400_000_000
MICROSECONDS_PER_HOUR = 3_600_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


def to_micros(moment: datetime) -> int:
    """Microseconds since 1970-01-01 UTC of an aware datetime."""
    return to_micros_and_day(moment)[0]


def to_micros_and_day(moment: datetime) -> tuple[int, int]:
    """Microseconds since 1970-01-01 UTC and the UTC day, faster than a division."""
    since = moment - _EPOCH
    day = since.days
    return (day * 86_400 + since.seconds) * 1_000_000 + since.microseconds, day


def from_micros(micros: int) -> datetime:
    """The UTC datetime of `micros`; raises OverflowError outside the years 1 to 9999."""
    return _EPOCH + timedelta(microseconds=micros)


def day_of(micros: int) -> int:
    """The UTC day that `micros` falls on."""
    return micros // MICROSECONDS_PER_DAY


def start_of(day: int) -> int:
    """The first microsecond of `day`."""
    return day * MICROSECONDS_PER_DAY


def to_day(calendar: date) -> int:
    """Number of a calendar day."""
    return calendar.toordinal() - _EPOCH_ORDINAL


def from_day(day: int) -> date:
    """Calendar day of a number; raises ValueError outside the years 1 to 9999."""
    return date.fromordinal(day + _EPOCH_ORDINAL)


def first_day(day: int, window: int) -> int:
    """The first day of the `window` days that end with `day`."""
    return day - window + 1


def to_day_text(text: str) -> int:
    """Number of a calendar day written as YYYY-MM-DD; raises ValueError if it isn't one."""
    if len(text) != 10 or text[4] != "-" or text[7] != "-":
        raise ValueError(f"{text!r} is not written as YYYY-MM-DD")
    return to_day(date.fromisoformat(text))
