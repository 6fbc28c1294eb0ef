"""The months of history that have a partition: a plan over any day and any retention."""

from datetime import date, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from consumers.sweep.history_partitions import MONTHS_AHEAD, expired, wanted
from scoring.history.day_by_day import LONGEST_GAP
from service.storage.accounts.history_partitions import Month, first_kept

days = st.dates(date(2000, 1, 1), date(2100, 1, 1))
retentions = st.integers(92, 3660)


def test_a_month_is_named_and_bounded() -> None:
    december = Month.of(date(2026, 12, 31))
    assert december.partition == "history_2026_12"
    assert december.bounds == "FROM ('2026-12-01') TO ('2027-01-01')"
    assert december.following == Month(2027, 1)


@given(days, retentions)
def test_every_day_that_is_written_has_its_month_and_two_follow(today: date, retention: int) -> None:
    months = wanted(today, retention)
    assert all(later == earlier.following for earlier, later in pairwise(months))
    assert months.index(Month.of(today)) == len(months) - 1 - MONTHS_AHEAD
    written = [today - timedelta(days=back) for back in range(min(retention, LONGEST_GAP + 1))]
    assert {Month.of(day) for day in written} <= set(months)


@given(days, retentions)
def test_a_month_has_expired_when_its_last_day_isnt_kept(today: date, retention: int) -> None:
    months = [Month(year, month) for year in range(today.year - 12, today.year + 1) for month in range(1, 13)]
    gone = expired(months, today, retention)
    for month in months:
        last_day = month.following.first_day - timedelta(days=1)
        assert (month in gone) == (last_day < first_kept(today, retention))


@given(days, retentions)
def test_what_is_wanted_never_has_expired(today: date, retention: int) -> None:
    assert expired(wanted(today, retention), today, retention) == []
    assert today - first_kept(today, retention) == timedelta(days=retention - 1)
