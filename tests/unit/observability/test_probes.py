"""The heartbeat of a loop: one that is stuck isn't alive; one that waits is alive, but not ready."""

from service.observability.probes import KAFKA_AWAY, Pulse
from service.storage.database.retry import POSTGRES_AWAY


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_loop_is_ready_from_its_first_turn_on() -> None:
    pulse = Pulse("sweep", 300, Clock())
    assert pulse.live() is None
    assert pulse.ready() == "it has not begun its work yet"
    pulse.beat()
    assert (pulse.live(), pulse.ready()) == (None, None)


def test_a_loop_that_goes_silent_is_not_alive() -> None:
    clock = Clock()
    pulse = Pulse("sweep", 300, clock)
    pulse.beat()
    clock.now += 300
    assert (pulse.live(), pulse.ready()) == (None, None)
    clock.now += 1
    assert pulse.live() == pulse.ready() == "it has been silent for 301 seconds"
    pulse.beat()
    assert (pulse.live(), pulse.ready()) == (None, None)


def test_a_loop_that_never_begins_is_not_alive_in_the_end() -> None:
    clock = Clock()
    pulse = Pulse("sweep", 300, clock)
    clock.now += 301
    assert pulse.live() is not None


def test_waiting_is_living_but_not_ready() -> None:
    clock = Clock()
    pulse = Pulse("consume", 300, clock)
    for waiting_for in (POSTGRES_AWAY, KAFKA_AWAY) * 10:
        clock.now += 200
        pulse.beat(waiting_for)
        assert (pulse.live(), pulse.ready()) == (None, waiting_for)
    pulse.beat()
    assert pulse.ready() is None
