"""The memory of folded events."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.fold import dedup as module
from consumers.fold.dedup import KEEP_TIME, Deduplicator, HashRun

START = datetime(2026, 3, 5, tzinfo=UTC)


def hashes(*values: int) -> module.Hashes:
    return np.array(values, dtype=np.uint64)


def remember(seen: Deduplicator, values: list[int], offset: int, at: datetime = START) -> list[int]:
    """Remember a batch like the consumer; returns the values that were fresh."""
    array = hashes(*values)
    fresh = seen.fresh(array)
    seen.apply(seen.plan(array[fresh], offset, at))
    return [value for value, is_fresh in zip(values, fresh.tolist(), strict=True) if is_fresh]


@given(st.lists(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 20), min_size=1, max_size=30), max_size=30))
def test_each_value_is_fresh_exactly_once(batches: list[list[int]]) -> None:
    seen, known = Deduplicator(), set[int]()
    for offset, batch in enumerate(batches):
        expected = list(dict.fromkeys(value for value in batch if value not in known))
        assert remember(seen, batch, offset) == expected
        known.update(batch)
    assert len(seen) == len(known)


def test_a_plan_changes_nothing_until_it_is_applied() -> None:
    seen = Deduplicator()
    change = seen.plan(hashes(1, 2), 1, START)
    assert seen.fresh(hashes(1, 2)).all()
    seen.apply(change)
    assert not seen.fresh(hashes(1, 2)).any()


@given(st.lists(st.integers(1, 40), min_size=1, max_size=80))
def test_stored_rows_are_the_memory(sizes: list[int]) -> None:
    """A process that loads the rows knows what the one that wrote them knew, and few rows hold a lot."""
    seen, rows, value = Deduplicator(), dict[int, HashRun](), 0
    for offset, size in enumerate(sizes):
        array = np.arange(value, value + size, dtype=np.uint64)
        value += size
        change = seen.plan(array, offset, START)
        seen.apply(change)
        for gone in change.gone:
            del rows[gone]
        rows[change.added.last_offset] = change.added
    reloaded = Deduplicator([rows[offset] for offset in sorted(rows)])
    assert len(reloaded) == value
    assert not reloaded.fresh(np.arange(value, dtype=np.uint64)).any()
    assert len(rows) <= 2 + np.log2(value)


def test_offsets_that_come_again_replace_no_run() -> None:
    """An operator went back to the beginning: remembered events stay, and every run keeps a key of its own."""
    seen = Deduplicator()
    remember(seen, list(range(100)), 99)
    remember(seen, [200], 100)
    assert remember(seen, [0, 1, 300], 2) == [300]
    assert remember(seen, [*range(100), 200, 300], 100) == []
    offsets = [run.last_offset for run in seen._runs]
    assert offsets == sorted(set(offsets))


def test_what_is_old_and_far_behind_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP_EVENTS", 10)
    monkeypatch.setattr(module, "LARGEST_RUN", 4)
    seen = Deduplicator()
    late = START + KEEP_TIME + timedelta(minutes=1)
    remember(seen, [1, 2, 3, 4], 1)
    remember(seen, [11, 12, 13, 14], 2, late)
    assert remember(seen, [1], 3, late) == []  # out of time, but among the last 10
    remember(seen, [21, 22, 23, 24], 4, late)
    remember(seen, [31, 32, 33, 34], 5, late)
    remember(seen, [41], 6, late)
    assert remember(seen, [1, 11], 7, late) == [1]  # 1 is out of both bounds, 11 is recent


def test_a_day_of_events_stays_however_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP_EVENTS", 1)
    seen = Deduplicator()
    for offset in range(50):
        remember(seen, [offset], offset, START + timedelta(minutes=offset))
    assert remember(seen, list(range(50)), 50, START + timedelta(hours=23)) == []


def test_five_million_events_fit_in_a_hundred_megabytes() -> None:
    seen, random = Deduplicator(), np.random.default_rng(1)
    for offset in range(250):
        batch = random.integers(0, 2**64, 20_000, dtype=np.uint64)
        seen.apply(seen.plan(batch, offset, START))
    assert len(seen) == 5_000_000
    assert sum(run.hashes.nbytes for run in seen._runs) <= 50_000_000
