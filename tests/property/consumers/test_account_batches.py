"""Batch sizes, whatever earlier batches took."""

from hypothesis import given
from hypothesis import strategies as st

from service.runtime.batch_size import FIRST, GOAL_SECONDS, BatchSize

MOSTS = st.integers(1, 1_000_000)
COURSES = st.lists(st.tuples(st.booleans(), st.integers(1, 1_000_000), st.floats(0, 1_000)), max_size=30)


@given(MOSTS, COURSES)
def test_it_stays_within_its_bounds(most: int, course: list[tuple[bool, int, float]]) -> None:
    size = BatchSize(most)
    for was_folded, records, seconds in course:
        if was_folded:
            size.done(records, seconds)
        else:
            size.given_up(records)
        assert 1 <= size.limit <= most


@given(MOSTS, COURSES, st.integers(1, 1_000_000))
def test_what_was_given_up_comes_back_at_half_its_size_at_most(
    most: int, course: list[tuple[bool, int, float]], records: int
) -> None:
    size = BatchSize(most)
    for _, folded, seconds in course:
        size.done(folded, seconds)
    size.given_up(records)
    assert size.limit <= max(1, records // 2)


@given(MOSTS, st.floats(1e-6, 5.0), st.floats(0, 0.5))
def test_any_speed_ends_at_batches_that_can_be_folded(most: int, each: float, overhead: float) -> None:
    """A machine that takes `each` second for a record, and gives up after 20 s as rebalances never end."""
    size = BatchSize(most)
    for _ in range(60):
        seconds = overhead + each * size.limit
        if seconds > 2 * GOAL_SECONDS:
            size.given_up(size.limit)
        else:
            size.done(size.limit, seconds)
    assert overhead + each * size.limit <= 2 * GOAL_SECONDS


def test_a_quick_machine_is_at_full_size_within_a_few_batches() -> None:
    size = BatchSize(150_000)
    assert size.limit == FIRST
    for _ in range(7):
        size.done(size.limit, 0.5)
    assert size.limit == 150_000
    size.done(10, 0.01)
    assert size.limit == 150_000


def test_a_backlog_is_met_with_few_batches_that_are_small() -> None:
    """At 20,000 records a second three batches come before the first of full size; it would be five by doubling."""
    size = BatchSize(150_000)
    sizes = []
    while size.limit < 150_000:
        sizes.append(size.limit)
        size.done(size.limit, size.limit / 20_000)
    assert sizes == [8_000, 50_000, 100_000]


def test_a_batch_that_was_not_quick_grows_to_double_at_most() -> None:
    size = BatchSize(150_000)
    size.done(FIRST, 4.0)
    assert size.limit == 2 * FIRST
