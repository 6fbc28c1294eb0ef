"""The partitions of records, compared with those of their keys."""

from datetime import UTC, datetime

import pytest
from aiokafka.partitioner import murmur2

from consumers.fold.placement import (
    ADDED_SECONDS,
    LONGEST_KEY,
    NO_KEY,
    OTHER_PARTITION,
    REMEMBER_SECONDS,
    SAMPLE,
    PlacementWatch,
    examine,
    home,
)
from service.storage.ingest.progress import TopicGrowth
from tests.support.scraped import Change


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_keys_hash_as_kafkas_java_client_hashes_them(key: bytes, expected: int) -> None:
    """The values of org.apache.kafka.common.utils.UtilsTest.testMurmur2."""
    assert murmur2(key) % 2**32 == expected % 2**32
    assert home(key, 12) == (expected & 0x7FFFFFFF) % 12


def test_records_at_home_are_no_finding() -> None:
    keys = [f"account-{number}".encode() for number in range(1_000)]
    at_home = [key for key in keys if home(key, 12) == 3]
    found = examine(3, 12, at_home)
    assert (found.checked, found.reasons) == (SAMPLE, {})


def test_what_lies_elsewhere_is_found_by_reason() -> None:
    at_home = next(key for key in (b"a", b"b", b"c", b"d") if home(key, 2) == 0)
    elsewhere = next(key for key in (b"a", b"b", b"c", b"d") if home(key, 2) == 1)
    found = examine(0, 2, [at_home, None, elsewhere, None])
    assert (found.checked, found.reasons) == (4, {NO_KEY: 2, OTHER_PARTITION: 1})


@pytest.mark.parametrize("count", [1, SAMPLE, SAMPLE + 1, 2 * SAMPLE - 1, 2_000])
def test_a_sample_is_even_and_bounded(count: int) -> None:
    assert examine(0, 2, [None] * count).checked in range(min(count, SAMPLE) // 2, SAMPLE + 1)
    assert examine(0, 2, [b"k" * LONGEST_KEY + b"k"] * count).checked == 0
    assert examine(0, 2, []).checked == 0


def test_it_is_logged_once_an_hour_and_remarked_on_for_one() -> None:
    clock, since = Clock(), Change()
    watch = PlacementWatch(clock)
    assert watch.remark() == ""
    watch.check(("placed", 0), 4, [None, None])
    watch.check(("placed", 1), 4, [None])
    assert since.of("health_misplaced_records_total", topic="placed", reason="no_key") == 3
    assert since.of("health_placement_checked_records_total", topic="placed") == 3
    assert watch.remark() == "records are in other partitions than their keys belong to: placed"
    clock.now += REMEMBER_SECONDS + 1
    assert watch.remark() == ""


def test_a_topic_of_one_partition_has_no_other() -> None:
    watch = PlacementWatch(Clock())
    watch.check(("placed", 0), 1, [None, b"anything"])
    assert watch.remark() == ""


def test_partitions_that_were_added_are_remarked_on_for_a_day() -> None:
    clock = Clock()
    watch = PlacementWatch(clock)
    found_at = datetime.fromtimestamp(clock.now, UTC)
    watch.note_growth({"grown": TopicGrowth(3, 6, found_at)})
    assert "partitions were added within a day" in watch.remark()
    assert "grown" in watch.remark()
    clock.now += ADDED_SECONDS + 1
    assert watch.remark() == ""
