"""Ids are UUIDv7 and sort by the time they were made."""

import time
from uuid import RFC_4122

from service.runtime.ids import new_id


def test_version_variant_and_time_are_where_rfc_9562_has_them() -> None:
    before = time.time_ns() // 1_000_000
    made = new_id()
    assert (made.version, made.variant) == (7, RFC_4122)
    assert before <= made.int >> 80 <= time.time_ns() // 1_000_000


def test_ids_sort_by_time_within_a_millisecond_too() -> None:
    made = []
    for _ in range(200):
        made.append(new_id())
        until = time.perf_counter_ns() + 2_000
        while time.perf_counter_ns() < until:
            pass
    assert made == sorted(made)
    assert len(set(made)) == 200
