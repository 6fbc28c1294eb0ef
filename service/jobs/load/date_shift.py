"""Moving times by whole days, so that an old log can be tried out as if it were of today."""

from datetime import date, datetime, timedelta

import msgspec

from scoring.state.calendar import day_of, start_of


def days_to_now(newest: int, now: int) -> int:
    """By how many days a log whose newest event is of `newest` moves, so that it falls on today, or, if that time of
    day is yet to come, on yesterday. Both in microseconds.
    """
    days = day_of(now) - day_of(newest)
    return days if newest + start_of(days) <= now else days - 1


def moved_source(source: str, days: int) -> str:
    """The source of events that were moved: they are other events than those of the log.

    Under their own name, a consumer that has skipped the log's events as late would drop these as duplicates.
    """
    return f"{source};moved={days:+}d" if days else source


def shift_moment(text: str, days: int) -> str:
    """An RFC 3339 time moved by whole days. What can't be moved stays: the check of the event says what is wrong."""
    try:
        moment = msgspec.convert(text, datetime)
        return (moment + timedelta(days=days)).isoformat()
    except (msgspec.ValidationError, OverflowError):
        return text


def shift_day(text: str, days: int) -> str:
    """A calendar day (YYYY-MM-DD) moved by whole days; what can't be moved stays."""
    try:
        return (msgspec.convert(text, date) + timedelta(days=days)).isoformat()
    except (msgspec.ValidationError, OverflowError):
        return text
