"""Retry decisions: the schedule, its bounds, and what a receiver can ask for."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.delivery.retry import (
    FREE_POSTPONEMENTS,
    LONGEST_POSTPONEMENT,
    STANDARD,
    GaveUp,
    RetryAt,
    RetryDecision,
    Succeeded,
    decide,
    postpone,
)
from service.delivery.retry_after import retry_after_wait

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LAST = len(STANDARD.delays) + 1


def after(attempt: int, status: int | None = 500, asked: str | None = None, randomness: float = 0.0) -> RetryDecision:
    return decide(STANDARD, attempt, status, asked, NOW, randomness)


def wait(outcome: RetryDecision) -> timedelta:
    assert isinstance(outcome, RetryAt)
    return outcome.when - NOW


def test_the_schedule_is_the_one_that_was_promised() -> None:
    waits = [wait(after(attempt)).total_seconds() for attempt in range(1, LAST)]
    assert waits == [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    assert after(LAST) == GaveUp("exhausted")


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_only_2xx_succeeds(status: int) -> None:
    assert after(1, status) == Succeeded()
    assert after(LAST, status) == Succeeded()


@pytest.mark.parametrize("status", [None, 100, 199, 300, 301, 302, 304, 307, 308, 400, 401, 404, 429, 500, 503, 599])
def test_everything_else_is_tried_again_redirects_too(status: int | None) -> None:
    assert wait(after(1, status)) == timedelta(seconds=5)


def test_410_gives_up_at_once() -> None:
    assert after(1, 410) == GaveUp("gone")
    assert after(1, 410, asked="60") == GaveUp("gone")


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("120", 120),
        (" 120 ", 120),
        ("3", 5),  # the schedule's own wait is longer
        ("0", 5),
        ("90000", 86_400),  # capped at a day
        ("9" * 5000, 86_400),
        ("-10", 5),
        ("1.5", 5),
        ("١٢٠", 5),
        ("soon", 5),
        ("", 5),
        (format_datetime(NOW + timedelta(minutes=10), usegmt=True), 600),
        (format_datetime(NOW - timedelta(minutes=10), usegmt=True), 5),
        ("Sun, 01 Mar 2026 12:10:00 -0000", 600),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400),
        ("Sun, 01 Mar 2026 99:10:00 GMT", 5),
        ("Sun, 01 Mar 0001 00:00:00 +2359", 5),
    ],
)
def test_retry_after_lengthens_the_wait_within_bounds(asked: str, seconds: float) -> None:
    assert wait(after(1, 503, asked)).total_seconds() == seconds


@given(
    attempt=st.integers(1, LAST - 1),
    asked=st.none() | st.text(max_size=60) | st.integers(0, 10**9).map(str) | st.datetimes().map(format_datetime),
    randomness=st.floats(0, 1, exclude_max=True),
)
def test_jitter_only_ever_lengthens_and_no_header_breaks_the_decision(
    attempt: int, asked: str | None, randomness: float
) -> None:
    waited = wait(after(attempt, 503, asked, randomness))
    least = max(STANDARD.delays[attempt - 1], min(retry_after_wait(asked, NOW), STANDARD.longest_asked))
    assert least <= waited <= least * (1 + STANDARD.jitter)


def test_deliveries_that_failed_together_come_back_apart() -> None:
    assert wait(after(3, randomness=0.0)) < wait(after(3, randomness=0.5)) < wait(after(3, randomness=0.99))


def put(times: int = 0, asked: float | None = None, age: timedelta = timedelta(), spread: float = 0.0) -> RetryAt:
    wanted = None if asked is None else timedelta(seconds=asked)
    found = postpone(STANDARD, NOW - age, times, wanted, NOW, spread)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("asked", "seconds"), [(None, 1), (0, 1), (0.2, 1), (30, 30), (3600, 3600), (90_000, 86_400), (10**9, 86_400)]
)
def test_a_receiver_that_takes_nothing_now_is_left_alone_for_as_long_as_it_asks(
    asked: float | None, seconds: float
) -> None:
    found = put(asked=asked)
    assert found.paused_until == found.when == NOW + timedelta(seconds=seconds)


def test_a_message_that_is_put_off_again_and_again_comes_back_ever_more_rarely() -> None:
    waits = [(put(times, asked=1).when - NOW).total_seconds() for times in range(FREE_POSTPONEMENTS + 20)]
    assert waits[: FREE_POSTPONEMENTS + 1] == [1] * (FREE_POSTPONEMENTS + 1)
    assert waits[FREE_POSTPONEMENTS + 1 : FREE_POSTPONEMENTS + 4] == [2, 4, 8]
    assert waits[-1] == LONGEST_POSTPONEMENT.total_seconds()
    # The receiver's own pause stays as it was: it takes the others.
    assert put(FREE_POSTPONEMENTS + 20, asked=1).paused_until == NOW + timedelta(seconds=1)


def test_a_message_is_put_off_for_its_lifetime_and_no_longer() -> None:
    assert put(age=STANDARD.lifetime - timedelta(seconds=1)).when > NOW
    assert postpone(STANDARD, NOW - STANDARD.lifetime, 0, None, NOW, 0.0) is None


@given(times=st.integers(0, 10**6), asked=st.none() | st.floats(0, 10**8), spread=st.floats(0, 1, exclude_max=True))
def test_however_often_a_message_is_put_off_its_wait_is_bounded(times: int, asked: float | None, spread: float) -> None:
    found = put(times, asked, spread=spread)
    assert found.paused_until is not None
    assert found.paused_until <= found.when <= NOW + STANDARD.longest_asked * (1 + STANDARD.jitter)
