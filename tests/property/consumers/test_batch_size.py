"""Batch sizes, whatever earlier batches took."""

from hypothesis import given
from hypothesis import strategies as st

from service.runtime.batch_size import (
    BEHIND_SECONDS,
    FAR_BEHIND_BATCHES,
    FAR_BEHIND_SECONDS,
    FIRST,
    LIVE_SECONDS,
    LONGEST_SECONDS,
    BatchSize,
)

MOSTS = st.integers(1, 1_000_000)
WAITING = st.none() | st.integers(0, 1_000_000)
COURSES = st.lists(st.tuples(st.booleans(), st.integers(0, 1_000_000), st.floats(0, 1_000), WAITING), max_size=30)
EACH = st.floats(1e-6, 0.1)
BATCHES = 10
GIVEN_UP_SECONDS = 2 * LONGEST_SECONDS
"""A rebalance gives up a batch after this time."""

LIVE, BEHIND, FAR_BEHIND = 0, 1, FAR_BEHIND_BATCHES + 1
"""As many batches wait as that."""

Course = list[tuple[bool, int, float, int | None]]


def follow(size: BatchSize, course: Course) -> None:
    for was_done, items, seconds, waiting in course:
        if was_done:
            size.done(items, seconds, waiting)
        else:
            size.given_up(items)


def work(size: BatchSize, each: float, fixed: float, *, waiting: int, batches: int = BATCHES) -> float:
    """Do full batches on a machine of constant speed, while `waiting` more wait; returns the time of the next one."""
    for _ in range(batches):
        items = size.limit
        seconds = fixed + each * items
        if seconds > GIVEN_UP_SECONDS:
            size.given_up(items)
        else:
            size.done(items, seconds, waiting and waiting * size.most_ahead + 1)
    return fixed + each * size.limit


@given(MOSTS, COURSES)
def test_it_stays_within_its_bounds(most: int, course: Course) -> None:
    size = BatchSize(most)
    for step in course:
        follow(size, [step])
        assert 1 <= size.limit <= size.most_ahead <= most


@given(MOSTS, COURSES, st.integers(1, 1_000_000))
def test_what_was_given_up_comes_back_at_half_its_size_at_most(most: int, course: Course, items: int) -> None:
    """Also if it was smaller than the limit, and whether or not more waits."""
    size = BatchSize(most)
    follow(size, course)
    size.given_up(items)
    assert size.most_ahead <= max(1, items // 2)


@given(EACH, st.floats(0, 0.5))
def test_a_backlog_is_met_with_batches_of_the_time_aimed_at(each: float, share: float) -> None:
    size = BatchSize(10_000_000)
    seconds = work(size, each, share * BEHIND_SECONDS, waiting=BEHIND)
    assert abs(seconds - BEHIND_SECONDS) <= 0.1 * BEHIND_SECONDS + each


@given(EACH, st.floats(0, 0.5))
def test_a_large_backlog_is_met_with_longer_ones(each: float, share: float) -> None:
    size = BatchSize(10_000_000)
    seconds = work(size, each, share * BEHIND_SECONDS, waiting=FAR_BEHIND)
    assert abs(seconds - FAR_BEHIND_SECONDS) <= 0.1 * FAR_BEHIND_SECONDS + each
    seconds = work(size, each, share * BEHIND_SECONDS, waiting=BEHIND)
    assert abs(seconds - BEHIND_SECONDS) <= 0.1 * BEHIND_SECONDS + each


@given(EACH, st.floats(0, 0.4))
def test_live_events_are_met_with_short_ones(each: float, share: float) -> None:
    size = BatchSize(10_000_000)
    seconds = work(size, each, share * LIVE_SECONDS, waiting=LIVE)
    assert seconds <= max(1.1 * LIVE_SECONDS, share * LIVE_SECONDS + each)
    assert seconds >= 0.9 * LIVE_SECONDS - each


@given(MOSTS, EACH, st.floats(0, 8.0), st.sampled_from([LIVE, BEHIND, FAR_BEHIND]))
def test_any_machine_ends_at_batches_that_get_done(most: int, each: float, fixed: float, waiting: int) -> None:
    size = BatchSize(most)
    assert work(size, each, fixed, waiting=waiting, batches=40) <= GIVEN_UP_SECONDS


@given(st.floats(1e-5, 1e-2), st.floats(1.5 * BEHIND_SECONDS, 2 * BEHIND_SECONDS))
def test_batches_that_are_mostly_fixed_cost_are_not_cut_to_nothing(each: float, fixed: float) -> None:
    """On a disk that takes seconds for a commit, small batches would never catch up."""
    size = BatchSize(10_000_000)
    work(size, each, fixed, waiting=BEHIND, batches=20)
    assert size.limit >= min(FIRST, fixed / each) / 4


@given(st.floats(1e-5, 1e-3), st.floats(0, 0.1), st.integers(2, 4), st.floats(2.0, 100.0))
def test_one_slow_batch_changes_nothing(each: float, fixed: float, position: int, factor: float) -> None:
    size = BatchSize(10_000_000)
    before = work(size, each, fixed, waiting=BEHIND)
    slow = min(factor * before, LONGEST_SECONDS)
    size.done(size.limit, slow, size.most_ahead + 1)
    after = work(size, each, fixed, waiting=BEHIND, batches=position)
    assert abs(after - before) <= 0.1 * before


@given(EACH, st.floats(0, 0.2), st.integers(1, 1_000_000))
def test_after_batches_were_given_up_it_recovers(each: float, fixed: float, most: int) -> None:
    size = BatchSize(most)
    before = work(size, each, fixed, waiting=BEHIND)
    while size.limit > 1:
        size.given_up(size.limit)
    after = work(size, each, fixed, waiting=BEHIND, batches=15)
    assert after >= 0.8 * before - each
