"""Rates: what may come at once, what over time, and that remembering who owes takes bounded room."""

from hypothesis import example, given
from hypothesis import strategies as st

from service.runtime.rate_limit import Rate, RateLimiter

waits = st.lists(st.floats(0, 3), min_size=1, max_size=80)
rates = st.builds(Rate, st.sampled_from([0.1, 0.5, 2.0, 30.0, 1000.0]), st.sampled_from([1.0, 5.0, 60.0]))


@given(rates, waits)
def test_no_more_than_the_rate_and_one_burst_over_any_time(rate: Rate, waits: list[float]) -> None:
    owing, now, taken = RateLimiter(rate, 10), 0.0, 0
    for wait in waits:
        now += wait
        while not rate.wait(owing.owed("ann", now)):
            owing.charge("ann", now)
            taken += 1
    assert taken <= rate.per_second * now + rate.burst + 0.01
    assert taken >= min(rate.burst, 1)


@given(rates, st.floats(0, 100))
@example(Rate(0.1, 1.0), 1e-05)
def test_the_wait_is_as_long_as_it_has_to_be(rate: Rate, owed: float) -> None:
    wait = rate.wait(owed)
    assert (wait == 0) == (rate.allowance(owed) >= 1)
    assert rate.allowance(max(owed - wait - 1e-6, 0)) >= 1
    if wait > 1e-3:
        assert rate.allowance(owed - wait + 1e-3 / rate.per_second) < 1 or rate.per_second >= 1000


def test_callers_are_distinguished() -> None:
    owing = RateLimiter(Rate(1, 2), 10)
    assert owing.charge("ann", 0.0) == 1.0
    assert owing.owed("ann", 0.5) == 0.5
    assert owing.owed("bob", 0.5) == 0.0


def test_nobody_owes_more_than_a_whole_burst_however_many_ask_at_once() -> None:
    rate = Rate(0.5, 30)
    owing = RateLimiter(rate, 10)
    for _ in range(36_000):  # ten a second for an hour, none of which was asked about
        owing.charge("ann", 0.0)
    assert owing.owed("ann", 0.0) == rate.window
    assert rate.wait(owing.owed("ann", 0.0)) <= 2.0


def test_who_has_paid_makes_room_first_and_then_who_came_first() -> None:
    owing = RateLimiter(Rate(1, 5), most=3)
    for caller, at in (("quick", 0.0), ("ann", 5.0), ("ann", 5.0), ("bob", 5.0), ("bob", 5.0)):
        owing.charge(caller, at)
    owing.charge("dan", 5.0)
    assert (len(owing), owing.owed("quick", 5.0)) == (3, 0.0)
    owing.charge("eve", 5.0)
    assert len(owing) == 3
    assert [owing.owed(caller, 5.0) for caller in ("ann", "bob", "dan", "eve")] == [0.0, 2.0, 1.0, 1.0]
