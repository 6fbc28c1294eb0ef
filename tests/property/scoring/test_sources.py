"""Laws of noticing that a source has gone quiet, over any weekly pattern."""

from hypothesis import assume, given
from hypothesis import strategies as st

from scoring.silent_sources import FEWEST, is_back, is_silent, usual

MONDAY = 20_514  # 2026-03-02
WEEK = 7

patterns = st.lists(st.integers(0, 5_000), min_size=WEEK, max_size=WEEK)
"""Accounts by weekday, weekends among them."""
days = st.integers(0, 6)
spreads = st.lists(st.floats(0.7, 1.3), min_size=28, max_size=28)


def course(pattern: list[int], weeks: int, spread: list[float] | None = None) -> dict[int, int]:
    """Counts that follow the pattern for some weeks, more or less."""
    counts = {MONDAY + place: pattern[place % WEEK] for place in range(weeks * WEEK)}
    return {day: round(count * (spread[day - MONDAY] if spread else 1)) for day, count in counts.items()}


def quiet(counts: dict[int, int], day: int, accounts: int) -> bool:
    """True if the source is silent with this number of accounts; all accounts of the last week are still its own."""
    return is_silent(
        counts, day, accounts, max([accounts, *(counts.get(day - back, 0) for back in range(1, WEEK + 1))])
    )


def up_to(counts: dict[int, int], day: int) -> dict[int, int]:
    """The counts of the days before."""
    return {counted: accounts for counted, accounts in counts.items() if counted < day}


@given(patterns, st.integers(1, 4))
def test_a_weekend_is_none_once_a_week_is_known(pattern: list[int], weeks: int) -> None:
    counts = course(pattern, weeks)
    for day in range(MONDAY + weeks * WEEK, MONDAY + (weeks + 1) * WEEK):
        assert not quiet(counts, day, pattern[(day - MONDAY) % WEEK])
        counts[day] = pattern[(day - MONDAY) % WEEK]


@given(st.lists(st.integers(FEWEST, 5_000), min_size=WEEK, max_size=WEEK), spreads)
def test_more_and_less_is_none(pattern: list[int], spread: list[float]) -> None:
    counts: dict[int, int] = {}
    for day, accounts in course(pattern, 4, spread).items():
        if day >= MONDAY + WEEK:
            assert not quiet(counts, day, accounts)
        counts[day] = accounts


@given(patterns, st.floats(0.93, 1.2))
def test_a_steady_decline_or_growth_is_none(pattern: list[int], factor: float) -> None:
    counts: dict[int, int] = {}
    for place in range(12 * WEEK):
        day, accounts = MONDAY + place, round(pattern[place % WEEK] * factor**place)
        if place >= WEEK and accounts >= FEWEST:
            assert not quiet(counts, day, accounts)
        counts[day] = accounts


@given(patterns, st.integers(1, 3), days, spreads, st.floats(0, 0.2))
def test_a_stop_is_noticed_on_any_day_that_is_used(
    pattern: list[int], weeks: int, weekday: int, spread: list[float], left: float
) -> None:
    """The same holds on a Monday, for any number on Sunday."""
    assume(pattern[weekday] >= 40)
    day = MONDAY + weeks * WEEK + weekday
    assert quiet(up_to(course(pattern, 4, spread), day), day, round(pattern[weekday] * left))


@given(patterns, st.integers(1, 3), days)
def test_it_is_noticed_once(pattern: list[int], weeks: int, weekday: int) -> None:
    """An outage that an operator has ended isn't reported again the next day, or a week later."""
    first = MONDAY + weeks * WEEK + weekday
    counts = up_to(course(pattern, 4), first)
    noticed = [day for day in range(first, first + 3 * WEEK) if _is_quiet_then_silent(counts, day)]
    assert len(noticed) <= 1
    assert noticed or max(pattern) < FEWEST


def _is_quiet_then_silent(counts: dict[int, int], day: int) -> bool:
    found = quiet(counts, day, 0)
    counts[day] = 0
    return found


@given(st.lists(st.integers(FEWEST, 5_000), min_size=WEEK, max_size=WEEK), days)
def test_a_holiday_is_one_and_misleads_nobody_afterwards(pattern: list[int], weekday: int) -> None:
    holiday = MONDAY + 3 * WEEK + weekday
    counts = up_to(course(pattern, 4), holiday)
    assert quiet(counts, holiday, 0)
    counts[holiday] = 0
    for day in range(holiday + 1, holiday + 3 * WEEK):
        usually = pattern[(day - MONDAY) % WEEK]
        assert not quiet(counts, day, usually)
        counts[day] = usually
    assert is_back(counts, holiday, pattern[weekday])
    # Accounts without events since the weekday before the holiday can't be distinguished from those that have left.
    assume(2 * max(counts[holiday + place] for place in range(1, WEEK)) >= pattern[weekday])
    for later in (holiday + WEEK, holiday + 3 * WEEK):
        assert quiet(up_to(counts, later), later, 0), "a stop on that weekday is noticed all the same"


@given(patterns, days, st.integers(0, 5_000))
def test_enough_for_the_end_is_half_of_what_there_was(pattern: list[int], weekday: int, accounts: int) -> None:
    began = MONDAY + 3 * WEEK + weekday
    counts = up_to(course(pattern, 4), began)
    assert is_back(counts, began, accounts) == (2 * accounts >= max(pattern[weekday], FEWEST))
    if quiet(counts, began, accounts):
        assert not is_back(counts, began, accounts)


@given(st.integers(FEWEST, 5_000), st.integers(0, 5_000), st.integers(0, 5_000))
def test_accounts_that_have_another_source_by_now_arent_missing(before: int, accounts: int, still: int) -> None:
    counts = course([before] * WEEK, 2)
    lately = min(before, accounts + still)
    expected = 2 * accounts < before and 2 * lately >= before
    assert is_silent(counts, MONDAY + 2 * WEEK, accounts, lately) == expected


def test_what_is_usual() -> None:
    weekdays = course([40, 40, 40, 40, 40, 4, 3], 1)
    assert usual({}, MONDAY) is None
    assert usual({MONDAY - 2: 40}, MONDAY) is None
    next_monday = usual(weekdays, MONDAY + WEEK)
    assert next_monday is not None
    assert (next_monday.accounts, next_monday.is_enough(20), next_monday.is_enough(19)) == (40, True, False)
    saturday = usual(weekdays, MONDAY + WEEK + 5)
    assert saturday is not None
    assert saturday.accounts == 4
    # Half of the accounts have left for good: the week after is compared with the rest.
    gone = weekdays | {MONDAY + WEEK: 15}
    tuesday = usual(gone, MONDAY + WEEK + 1)
    assert tuesday is not None
    assert tuesday.accounts == 15


def test_in_the_first_week_only_a_full_stop_counts() -> None:
    """A weekend that isn't known as one looks like a stop."""
    counts = {MONDAY: 40}
    assert not is_silent(counts, MONDAY + 1, 4, 40)
    assert is_silent(counts, MONDAY + 1, 3, 40)
    assert not is_silent({MONDAY: FEWEST - 1}, MONDAY + 1, 0, 9)
