"""Moving an old log to now."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.state.calendar import MICROSECONDS_PER_DAY, day_of, to_micros
from service.jobs.load.first_pass import Findings
from service.jobs.load.times import days_to_now, shift_day, shift_moment

NOW = to_micros(datetime(2026, 3, 1, 12, tzinfo=UTC))
moments = st.integers(0, to_micros(datetime(2200, 1, 1, tzinfo=UTC)))


@pytest.mark.parametrize(
    ("newest", "days"),
    [
        (datetime(2026, 3, 1, 12, tzinfo=UTC), 0),
        (datetime(2026, 2, 1, 12, tzinfo=UTC), 28),
        (datetime(2026, 2, 1, 12, 0, 1, tzinfo=UTC), 27),
        (datetime(2026, 3, 1, 23, tzinfo=UTC), -1),
        (datetime(2027, 3, 1, 1, tzinfo=UTC), -365),
    ],
)
def test_the_newest_event_falls_on_today_or_if_that_is_yet_to_come_on_yesterday(newest: datetime, days: int) -> None:
    assert days_to_now(to_micros(newest), NOW) == days


@given(moments, moments)
def test_nothing_lies_ahead_of_now_nor_a_day_behind_it(newest: int, now: int) -> None:
    moved = newest + days_to_now(newest, now) * MICROSECONDS_PER_DAY
    assert 0 <= now - moved < MICROSECONDS_PER_DAY
    assert day_of(moved) in {day_of(now), day_of(now) - 1}


@given(st.datetimes(timezones=st.just(UTC), min_value=datetime(1980, 1, 1), max_value=datetime(2100, 1, 1)))  # noqa: DTZ001 - hypothesis adds the zone
def test_moments_keep_their_time_of_day(moment: datetime) -> None:
    assert datetime.fromisoformat(shift_moment(moment.isoformat(), 3)) == moment + timedelta(days=3)


@pytest.mark.parametrize("text", ["yesterday", "", "9999-12-31T23:00:00Z", "2020-13-01T00:00:00Z"])
def test_what_is_no_moment_stays_for_the_check_to_name(text: str) -> None:
    assert shift_moment(text, 1) == text


@pytest.mark.parametrize(
    ("text", "moved"), [("2020-02-28", "2020-02-29"), ("soon", "soon"), ("9999-12-31", "9999-12-31")]
)
def test_days_move_or_stay(text: str, moved: str) -> None:
    assert shift_day(text, 1) == moved


def test_events_older_than_retention_are_counted_as_late_after_the_move() -> None:
    today = day_of(NOW)
    findings = Findings()
    findings.days.update({today: 1, today - 91: 2, today - 92: 4, today - 500: 8})
    assert findings.late(0, 92, NOW) == 12
    assert findings.late(0, 600, NOW) == 0
    assert findings.late(409, 92, NOW) == 0
    assert findings.late(408, 92, NOW) == 8
