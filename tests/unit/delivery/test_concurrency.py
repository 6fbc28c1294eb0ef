"""Fairness among endpoints: how many attempts may begin where."""

from uuid import uuid4

from service.delivery.concurrency import FIRST_REST_SECONDS, TRIPS_AFTER, UNPROVEN, Slots

A, B = uuid4(), uuid4()
NOW = 1000.0


def answered(slots: Slots, *, quick: bool) -> None:
    slots.acquire(A)
    slots.release(A, quick=quick)


def test_an_endpoint_that_has_not_answered_yet_has_one_slot() -> None:
    slots = Slots(64)
    assert slots.room(NOW).get(A, UNPROVEN) == 1
    slots.acquire(A)
    assert slots.room(NOW) == {A: 0}
    assert slots.free == 63


def test_a_quick_answer_earns_an_eighth_and_a_slow_one_loses_it() -> None:
    slots = Slots(64)
    answered(slots, quick=True)
    assert slots.room(NOW) == {A: 8}
    for _ in range(8):
        slots.acquire(A)
    assert slots.room(NOW) == {A: 0}
    slots.release(A, quick=False)
    assert slots.room(NOW) == {A: 0}
    for _ in range(7):
        slots.release(A, quick=False)
    assert slots.room(NOW).get(A, UNPROVEN) == 1
    assert slots.free == 64


def test_one_slot_is_enough_to_work() -> None:
    slots = Slots(1)
    answered(slots, quick=True)
    assert slots.room(NOW) == {A: 1}


def test_endpoints_do_not_share_their_room() -> None:
    slots = Slots(16)
    answered(slots, quick=True)
    slots.acquire(B)
    assert slots.room(NOW) == {A: 2, B: 0}


def test_an_endpoint_that_is_down_is_left_alone_and_then_tried_with_one_message() -> None:
    slots = Slots(64)
    answered(slots, quick=True)
    for _ in range(TRIPS_AFTER):
        slots.record_answer(A, 503, NOW)
    assert slots.room(NOW) == {A: 0}
    assert slots.open_breakers == {A}
    later = NOW + FIRST_REST_SECONDS
    assert slots.room(later - 0.01) == {A: 0}
    assert slots.room(later) == {A: 1}
    slots.acquire(A)
    assert slots.room(later) == {A: 0}
    slots.release(A, quick=True)
    slots.record_answer(A, None, later)
    assert slots.room(later + FIRST_REST_SECONDS) == {A: 0}
    assert slots.room(later + 2 * FIRST_REST_SECONDS) == {A: 1}
    slots.record_answer(A, 204, later + 2 * FIRST_REST_SECONDS)
    assert slots.room(later + 2 * FIRST_REST_SECONDS) == {A: 8}
    assert slots.open_breakers == set()


def test_what_is_disabled_or_deleted_is_forgotten() -> None:
    slots = Slots(64)
    for endpoint in (A, B):
        slots.acquire(endpoint)
        slots.release(endpoint, quick=True)
        for _ in range(TRIPS_AFTER):
            slots.record_answer(endpoint, 503, NOW)
    slots.acquire(A)
    slots.forget_all_but({B})
    assert slots.open_breakers == {B}
    assert slots.room(NOW) == {A: 0, B: 0}  # the attempt under way still counts
    slots.release(A, quick=False)
    assert slots.room(NOW) == {B: 0}
    assert slots.free == 64


def test_one_that_takes_no_more_now_is_left_alone_and_then_sent_one_at_a_time() -> None:
    slots = Slots(64)
    answered(slots, quick=True)
    for _ in range(20):  # all under way together
        slots.record_limit(A, 429, NOW + 2, NOW, asked=False)
    assert slots.room(NOW) == {A: 0}
    assert slots.next_pause_ends(NOW + 0.5) == 1.5
    assert slots.room(NOW + 2) == {A: 1}
    assert slots.next_pause_ends(NOW + 2) is None
    assert slots.open_breakers == {A} - {A}
    for taken in range(80):
        assert slots.room(NOW + 2)[A] <= 1 + taken // 9
        slots.record_success(A)
    assert slots.room(NOW + 2) == {A: 8}
    slots.record_limit(A, 429, NOW + 9, NOW + 8, asked=False)
    assert slots.room(NOW + 9) == {A: 1}


def test_one_that_never_takes_anything_is_left_alone_for_longer() -> None:
    slots, now = Slots(64), NOW
    for _ in range(TRIPS_AFTER):
        slots.record_limit(A, 429, now + 1, now, asked=False)
        now += 1
    assert slots.room(now) == {A: 0}
    assert slots.open_breakers == {A}


def test_a_limit_of_one_that_is_disabled_or_deleted_is_forgotten() -> None:
    slots = Slots(64)
    slots.record_limit(A, 429, NOW + 1, NOW, asked=False)
    slots.forget_all_but({B})
    assert slots.next_pause_ends(NOW) is None


def test_one_that_says_when_is_tried_then_however_often_it_says_so() -> None:
    slots, now = Slots(64), NOW
    for _ in range(3 * TRIPS_AFTER):
        slots.record_limit(A, 429, now + 1, now, asked=True)
        assert slots.room(now + 0.5)[A] == 0
        now += 1
        assert slots.room(now)[A] == 1
    assert slots.open_breakers == set()
