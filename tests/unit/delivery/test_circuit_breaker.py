"""A breaker trips when a receiver is down, rests longer each time, and closes with the first answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.delivery.concurrency import CLOSED, FIRST_REST_SECONDS, LONGEST_REST_SECONDS, TRIPS_AFTER, Breaker


def failing(times: int, breaker: Breaker = CLOSED, at: float = 0.0) -> Breaker:
    for _ in range(times):
        breaker = breaker.after(None, at)
    return breaker


def test_some_failures_are_borne_and_one_more_opens_it() -> None:
    assert not failing(TRIPS_AFTER - 1).open_at(0)
    assert failing(TRIPS_AFTER).open_at(FIRST_REST_SECONDS - 0.01)
    assert not failing(TRIPS_AFTER).open_at(FIRST_REST_SECONDS)


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 404, 410, 422])
def test_who_answers_is_up(status: int) -> None:
    assert failing(20).after(status, 1.0) == CLOSED


@pytest.mark.parametrize("status", [None, 408, 429, 500, 502, 503, 504])
def test_who_does_not_answer_or_says_so_is_down(status: int | None) -> None:
    breaker = CLOSED
    for _ in range(TRIPS_AFTER):
        breaker = breaker.after(status, 0.0)
    assert breaker.open_at(0.0)


def test_attempts_that_began_before_it_opened_do_not_lengthen_its_rest() -> None:
    assert failing(30).rested_until == FIRST_REST_SECONDS


def test_its_rest_doubles_with_every_trial_that_fails_up_to_a_limit() -> None:
    breaker, now, rests = failing(TRIPS_AFTER), 0.0, []
    for _ in range(10):
        rests.append(breaker.rested_until - now)
        now = breaker.rested_until
        breaker = breaker.after(503, now)
    assert rests[:3] == [FIRST_REST_SECONDS, 2 * FIRST_REST_SECONDS, 4 * FIRST_REST_SECONDS]
    assert rests[-1] == LONGEST_REST_SECONDS


@given(st.lists(st.tuples(st.sampled_from([None, 200, 404, 500]), st.floats(0, 100)), max_size=50))
def test_it_never_rests_for_longer_than_the_limit_and_never_after_an_answer(
    course: list[tuple[int | None, float]],
) -> None:
    now, breaker = 0.0, CLOSED
    for status, waited in course:
        now += waited
        breaker = breaker.after(status, now)
        assert breaker.rested_until <= now + LONGEST_REST_SECONDS
        if status in (200, 404):
            assert not breaker.tripped
