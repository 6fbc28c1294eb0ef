"""Days and instants."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from scoring.state.calendar import (
    MICROSECONDS_PER_DAY,
    day_of,
    first_day,
    from_day,
    from_micros,
    start_of,
    to_day,
    to_day_text,
    to_micros,
)


def test_a_day_is_a_utc_day_and_ends_at_midnight() -> None:
    leap_day = to_day(date(2024, 2, 29))
    assert day_of(to_micros(datetime(2024, 2, 29, tzinfo=UTC))) == leap_day
    assert day_of(to_micros(datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC))) == leap_day
    assert day_of(to_micros(datetime(2024, 3, 1, 1, tzinfo=timezone(timedelta(hours=2))))) == leap_day
    assert start_of(leap_day + 1) == start_of(leap_day) + MICROSECONDS_PER_DAY


def test_days_and_instants_go_there_and_back() -> None:
    moment = datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    assert from_micros(to_micros(moment)) == moment
    assert day_of(to_micros(moment)) == -1
    assert from_day(to_day(date(2024, 2, 29))) == date(2024, 2, 29)


def test_a_window_ends_with_its_day() -> None:
    assert first_day(100, 1) == 100
    assert first_day(100, 7) == 94


def test_a_day_is_written_in_one_way() -> None:
    assert to_day_text("1970-01-02") == 1
    for other in ("19700102", "1970-W01-5", "1970-1-2", "1970-01-02T00:00", "1970-02-30", ""):
        with pytest.raises(ValueError, match=r"."):
            to_day_text(other)
