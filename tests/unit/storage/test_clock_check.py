"""This process's clock beside the database's, and the consequences of their difference."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.runtime.errors import HealthError
from service.storage.database.clock_check import (
    AGREES,
    APART,
    NOT_COMPARED,
    STOP_SECONDS,
    WRONG,
    OneClock,
    classify,
    least_ahead,
)

TRUE = 1_784_544_000.0
DAY = 86_400.0


class Machine:
    """Two clocks: one that can be set, and one that can't."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.ahead = ahead
        self.passed = 1_000.0

    def local(self) -> float:
        return TRUE + self.passed + self.ahead

    def monotonic(self) -> float:
        return self.passed

    def clock(self, took: float = 0.0) -> OneClock:
        """A clock after a comparison that took some seconds."""
        clock = OneClock(self.local, self.monotonic)
        database = datetime.fromtimestamp(TRUE + self.passed, UTC)
        clock.record_comparison(database, self.passed - took / 2, self.passed + took / 2)
        return clock


@pytest.mark.parametrize(
    ("ahead", "verdict"),
    [(0, AGREES), (60, AGREES), (-60, AGREES), (61, APART), (-300, APART), (301, WRONG), (-301, WRONG), (DAY, WRONG)],
)
def test_a_minute_is_said_and_five_stop(ahead: float, verdict: str) -> None:
    assert classify(ahead) == verdict
    clock = Machine(ahead).clock()
    assert bool(clock.remark) == (verdict == APART)
    assert bool(clock.trouble) == (verdict == WRONG)


def test_what_is_said_names_the_difference() -> None:
    assert Machine(DAY).clock().trouble == "the clock is 86,400 s ahead of the database's"
    assert Machine(-90).clock().remark == "the clock is 90 s behind the database's"
    with pytest.raises(HealthError, match=r"The clock is 86,400 s ahead of the database's\. Have NTP set"):
        Machine(DAY).clock().require()
    Machine(90).clock().require()


def test_before_the_first_comparison_nothing_is_written() -> None:
    machine = Machine(DAY)
    clock = OneClock(machine.local, machine.monotonic)
    assert clock.trouble == NOT_COMPARED
    assert clock.ahead is None
    assert clock.now().timestamp() == machine.local()


def test_a_clock_that_jumps_is_noticed_without_another_comparison() -> None:
    machine = Machine()
    clock = machine.clock()
    machine.passed += 3
    assert clock.trouble == ""
    machine.ahead = DAY
    assert clock.trouble
    assert clock.now() == datetime.fromtimestamp(TRUE + 1_003, UTC)
    machine.ahead = 0.0
    assert clock.trouble == ""


def test_it_agrees_again_once_it_was_set_right() -> None:
    machine = Machine(-DAY)
    clock = machine.clock()
    assert clock.trouble
    machine.ahead = 5
    clock.record_comparison(datetime.fromtimestamp(TRUE + machine.passed, UTC), machine.passed, machine.passed)
    assert (clock.trouble, clock.remark) == ("", "")


def test_an_answer_that_took_long_blames_nobody() -> None:
    assert least_ahead(1_000, 1_100, 120) == 0
    assert least_ahead(1_000, 1_500, 120) == -380
    assert least_ahead(1_500, 1_000, 120) == 380
    assert Machine(90).clock(took=100).remark == ""


@given(st.floats(-4e8, 4e8), st.floats(0, 20), st.floats(0, 1e5))
def test_the_time_is_never_further_off_than_what_stops(ahead: float, took: float, later: float) -> None:
    machine = Machine(ahead)
    clock = machine.clock(took)
    machine.passed += later
    off = clock.now().timestamp() - (TRUE + machine.passed)
    assert abs(off) <= STOP_SECONDS + took / 2 + 1e-3
