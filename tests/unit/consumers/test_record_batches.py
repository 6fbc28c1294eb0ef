"""Bytes of a partition are read up to the batch that can't be, whatever is wrong with it."""

from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.errors import CorruptRecordException, RequestTimedOutError, UnsupportedCodecError
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from consumers.fold.record_batches import LONGEST_REASON, Fetched, Reading, is_unreadable, read
from tests.support.log_files import (
    HEADER_BYTES,
    Damage,
    flip_a_bit,
    rename_headers,
    sealed,
    spoil_records,
    use_no_known_codec,
)

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
PARTITION = ("t", 3)
EACH = 5


def batch(start: int, *, codec: str = "none", producer: int = -1, damage: Damage = lambda _: None) -> bytes:
    """Five records from an offset on."""
    transactional = producer >= 0
    builder = DefaultRecordBatchBuilder(
        2, CODECS[codec], transactional, producer, 0 if transactional else -1, -1, 1 << 20
    )
    for number in range(EACH):
        builder.append(
            number, timestamp=1_000, key=b"k", value=b"%d" % (start + number), headers=[("name", b"v"), ("null", None)]
        )
    built = bytearray(builder.build())
    built[:8] = start.to_bytes(8)
    damage(built)
    return bytes(built)


def reading(*batches: bytes, offset: int = 0, aborted: tuple[tuple[int, int], ...] = (), end: int = 1_000) -> Reading:
    return read(PARTITION, Fetched(b"".join(batches), aborted, end), offset)


def values(found: Reading) -> list[int]:
    return [int(record.value) for record in found.records]


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_can_be_read_from_any_offset(codec: str) -> None:
    found = reading(batch(0, codec=codec), batch(5, codec=codec), offset=3)
    assert values(found) == list(range(3, 10))
    assert found[1:] == (10, "", False)
    [first, *_] = found.records
    assert (first.topic, first.partition, first.offset, first.key) == ("t", 3, 3, b"k")
    assert first.headers == (("name", b"v"), ("null", None))


DAMAGES: list[tuple[str, Damage, str]] = [
    ("none", flip_a_bit, "CorruptRecordException: Invalid CRC"),
    ("none", sealed(use_no_known_codec), "UnsupportedCodecError: Unknown compression codec 0x07"),
    ("none", sealed(spoil_records), ""),
    *[(codec, sealed(spoil_records), "") for codec in CODECS if codec != "none"],
]


@pytest.mark.parametrize(("codec", "damage", "said"), DAMAGES)
def test_what_cannot_be_read_is_named_and_what_is_before_it_taken(codec: str, damage: Damage, said: str) -> None:
    found = reading(batch(0, codec=codec), batch(5, codec=codec, damage=damage), batch(10, codec=codec), offset=2)
    assert values(found) == [2, 3, 4]
    assert found.next_offset == 5
    assert found.broken.startswith(f"offsets 5 to 9 can't be read ({said}")
    assert found.broken.endswith("); what follows begins at offset 10")


def test_names_of_headers_need_not_be_utf8() -> None:
    for codec in CODECS:
        plain = batch(5, damage=sealed(rename_headers))
        found = reading(batch(0, codec=codec), plain, batch(10, codec=codec))
        assert values(found) == list(range(15))
        assert (found.broken, found.mended) == ("", True)
        assert found.records[7].headers == (("n\\xffme", b"v"), ("null", None))
        assert found.records[4].headers == found.records[10].headers == (("name", b"v"), ("null", None))


def test_what_was_taken_back_stays_out() -> None:
    kept, gone = batch(0, producer=7), batch(5, producer=8, damage=sealed(rename_headers))
    found = reading(kept, gone, batch(10), aborted=((8, 5),))
    assert values(found) == [*range(5), *range(10, 15)]
    assert found.next_offset == 15


def test_a_length_beyond_the_bytes_is_damage_where_a_name_is_not_utf8_too() -> None:
    """A reader that follows such a length ends the process: there is nothing to catch."""

    def reach_far(raw: bytearray) -> None:
        rename_headers(raw)
        # The length of the second record's key, in the second record: it says 2^40 in place of 1.
        at = raw.index(b"\x02k", raw.index(b"\x02k") + 1)
        raw[at : at + 6] = b"\x80\x80\x80\x80\x80\x40"

    found = reading(batch(0), batch(5, damage=sealed(reach_far)), batch(10))
    assert values(found) == list(range(5))
    assert found.broken.startswith("offsets 5 to 9 can't be read (")


def test_a_batch_that_is_cut_is_left_for_later() -> None:
    found = reading(batch(0), batch(5)[:-3])
    assert (values(found), found.next_offset, found.broken) == (list(range(5)), 5, "")
    assert reading() == Reading([], 0, "", mended=False)


def test_damaged_bytes_are_not_believed_where_the_next_batch_begins() -> None:
    def far_away(raw: bytearray) -> None:
        raw[23:27] = (2**31 - 1).to_bytes(4)

    found = reading(batch(0), batch(5, damage=far_away))
    assert found.broken.startswith("the log can't be read from offset 5 on (CorruptRecordException: Invalid CRC")


@given(
    st.sampled_from(sorted(CODECS)),
    st.lists(st.tuples(st.integers(8, 400), st.integers(0, 255)), min_size=1, max_size=6),
    st.booleans(),
)
def test_no_damage_raises(codec: str, changes: list[tuple[int, int]], is_sealed: bool) -> None:
    def change(raw: bytearray) -> None:
        for place, byte in changes:
            raw[place % len(raw)] = byte

    damage: Callable[[bytearray], None] = sealed(change) if is_sealed else change
    found = reading(batch(0, codec=codec), batch(5, codec=codec, damage=damage))
    assert [int(record.value) for record in found.records[:EACH]] == list(range(EACH))
    assert found.next_offset >= EACH
    assert len(found.broken) < LONGEST_REASON + 100
    assert len(DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 100).build()) == HEADER_BYTES


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (CorruptRecordException("Invalid CRC"), True),
        (UnsupportedCodecError("0x07"), True),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "no"), True),
        (EOFError(), True),
        (SystemError("Negative size"), True),
        (RequestTimedOutError(), False),
    ],
)
def test_what_may_come_of_the_log(error: Any, expected: bool) -> None:
    assert is_unreadable(error) is expected
