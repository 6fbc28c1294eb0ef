"""Never more than the rate over any period, except one burst; and the whole rate if there is enough to send."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from service.delivery.rate_limit import BURST_SECONDS, EndpointRateLimit

START = datetime(2026, 3, 5, 12, tzinfo=UTC)
rates = st.sampled_from([0.1, 0.5, 1.0, 3.0, 10.0, 250.0])


def test_a_second_of_messages_comes_at_once_and_then_one_after_the_other() -> None:
    assert EndpointRateLimit(10, None).allowance(START) == 10
    spent = EndpointRateLimit(10, EndpointRateLimit(10, None).paid_until_after(10, START))
    assert spent.allowance(START) == 0
    assert spent.allowance(START + timedelta(seconds=0.1)) == 1
    assert spent.allowance(START + timedelta(seconds=60)) == 10


def test_a_slow_rate_lets_one_message_through() -> None:
    spent = EndpointRateLimit(0.1, EndpointRateLimit(0.1, None).paid_until_after(1, START))
    assert EndpointRateLimit(0.1, None).allowance(START) == 1
    assert spent.allowance(START + timedelta(seconds=9.9)) == 0
    assert spent.allowance(START + timedelta(seconds=10)) == 1


def test_a_rate_next_to_nothing_is_about_one_a_day() -> None:
    paid = EndpointRateLimit(5e-324, None).paid_until_after(1, START)
    assert timedelta(days=1) < paid - START < timedelta(days=2)
    assert EndpointRateLimit(5e-324, paid).allowance(START) == 0
    assert EndpointRateLimit(5e-324, paid).allowance(paid) == 1


@given(rates, st.lists(st.floats(0, 5), min_size=1, max_size=60))
def test_what_is_sent_keeps_to_the_rate_and_uses_it(rate: float, waits: list[float]) -> None:
    now, paid, sent = START, None, 0
    for wait in waits:
        now += timedelta(seconds=wait)
        most = EndpointRateLimit(rate, paid).allowance(now)
        paid = EndpointRateLimit(rate, paid).paid_until_after(most, now)
        sent += most
    passed = (now - START).total_seconds()
    burst = max(rate * BURST_SECONDS, 1)
    assert sent <= rate * passed + burst + 0.01
    # Once a message is paid for, the next one goes out at the next look.
    assert sent >= passed / (1 / rate + max(waits)) - 1.01
