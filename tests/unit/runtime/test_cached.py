"""Cached values: one caller renews one in time, and none gets one that is too old."""

from hypothesis import given
from hypothesis import strategies as st

from service.runtime.cached import Cached

KEEP = 10.0
pauses = st.lists(st.sampled_from([0.0, 0.5, 1.0, 4.5, 5.0, 9.5]), max_size=60)


@given(pauses)
def test_one_caller_renews_a_value_while_it_holds_and_every_caller_later(pauses: list[float]) -> None:
    now = 0.0
    cached = Cached("v", KEEP, lambda: now)
    told = []
    for pause in pauses:
        now += pause
        told.append((now, cached.is_due()))
    assert not any(due for at, due in told if at < KEEP / 2)
    between = [due for at, due in told if KEEP / 2 <= at < KEEP]
    assert between == [True, *[False] * (len(between) - 1)][: len(between)]
    assert all(due for at, due in told if at >= KEEP)


def test_a_value_that_no_longer_holds_is_renewed_by_all() -> None:
    cached = Cached("v", KEEP, lambda: 3.0)
    assert (cached.age, cached.is_due()) == (0.0, False)
    cached.expire()
    assert cached.age > 1e9
    assert [cached.is_due() for _ in range(3)] == [True] * 3
