"""The disabling of endpoints: warned once, disabled after five days, and not for a failure now and one long ago."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.delivery.endpoint_health import Disable, Warn, decide_on_failing, is_decision_due

NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MOMENT = timedelta(microseconds=1)


def ago(time: timedelta | None) -> datetime | None:
    return None if time is None else NOW - time


@pytest.mark.parametrize(
    ("failing", "warned", "attempted", "verdict"),
    [
        (timedelta(), None, None, None),
        (3 * DAY - MOMENT, None, HOUR, None),
        (3 * DAY, None, HOUR, Warn(NOW + 2 * DAY)),
        (3 * DAY, None, None, Warn(NOW + 2 * DAY)),
        (4 * DAY, DAY, HOUR, None),
        (5 * DAY - MOMENT, 2 * DAY, HOUR, None),
        (5 * DAY, 2 * DAY, HOUR, Disable()),
        (5 * DAY, 2 * DAY, DAY, Disable()),
        (5 * DAY, None, HOUR, Disable()),
        (5 * DAY, 2 * DAY, DAY + MOMENT, None),
        (5 * DAY, 2 * DAY, None, None),
        (9 * DAY, None, None, Warn(NOW)),
    ],
)
def test_verdicts(
    failing: timedelta, warned: timedelta | None, attempted: timedelta | None, verdict: Warn | Disable | None
) -> None:
    assert decide_on_failing(NOW - failing, ago(warned), ago(attempted), NOW) == verdict


times = st.timedeltas(timedelta(), timedelta(days=30))


@given(times, st.none() | times, st.none() | times)
def test_nothing_is_passed_over_that_was_said_not_to_be_due(
    failing: timedelta, warned: timedelta | None, attempted: timedelta | None
) -> None:
    verdict = decide_on_failing(NOW - failing, ago(warned), ago(attempted), NOW)
    assert verdict is None or is_decision_due(NOW - failing, ago(warned), NOW)
