"""The limit on refused records."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.fold.dead_letter_limit import WINDOW, Limits, recent, too_many

RUN_OF_FIVE = Limits(run=5, share=1.0)
A_TENTH = Limits(run=0, share=0.1)


def test_as_many_in_a_row_as_allowed_are_fine_and_one_more_is_not() -> None:
    assert too_many([10, 11, 12, 13, 14], RUN_OF_FIVE) is None
    why = too_many([10, 11, 12, 13, 14, 15], RUN_OF_FIVE)
    assert why == "more than 5 records in a row were refused, up to offset 15"


def test_a_good_record_in_between_ends_a_run() -> None:
    assert too_many([10, 11, 12, 13, 14, 16, 17, 18, 19, 20], RUN_OF_FIVE) is None


def test_a_run_in_the_middle_counts() -> None:
    assert too_many([1, *range(10, 17), 30], RUN_OF_FIVE)


def test_more_than_the_share_within_the_window_is_too_many() -> None:
    spread = list(range(0, WINDOW, 10))
    assert len(spread) == 100
    assert too_many(spread, A_TENTH) is None
    assert too_many([*spread, WINDOW - 1], A_TENTH)
    assert too_many([*spread, WINDOW], A_TENTH) is None, "the first of them has left the window"


@given(st.lists(st.integers(0, 5_000), unique=True).map(sorted))
def test_without_limits_nothing_is_too_many(refused: list[int]) -> None:
    assert too_many(refused, Limits(run=0, share=1.0)) is None


@given(
    st.lists(st.integers(0, 3_000), unique=True).map(sorted),
    st.integers(1, 20),
    st.sampled_from([0.001, 0.01, 0.1, 0.5]),
)
def test_it_is_what_counting_says(refused: list[int], run: int, share: float) -> None:
    found = set(refused)
    longest = max((next(n for n in range(len(refused) + 1) if at + n not in found) for at in refused), default=0)
    densest = max((sum(at <= other < at + WINDOW for other in refused) for at in refused), default=0)
    assert (too_many(refused, Limits(run, share)) is not None) == (longest > run or densest > share * WINDOW)


@pytest.mark.parametrize(("offset", "kept"), [(0, True), (999, True), (1_000, True)])
def test_what_is_within_the_window_is_kept(offset: int, kept: bool) -> None:
    assert (offset in recent([offset], 1_000)) == kept


def test_what_has_left_the_window_is_forgotten() -> None:
    assert recent([0, 1, 2, 500], 1_002) == [2, 500]
