"""Buffered records, and their bisection."""

import asyncio
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from hypothesis import given
from hypothesis import strategies as st

from consumers.fold.buffer import PartitionBuffer, PartitionBuffers, RecordBuffer, bisect, fingerprint
from consumers.fold.decode import Refusal
from scoring.state.events import UsageEvent
from service.messaging.cloudevents import Decoded


def record(offset: int, **changes: Any) -> ConsumerRecord:
    values: dict[str, Any] = {"key": b"acme", "value": b"{}", "timestamp": 1_000, **changes}
    return ConsumerRecord("t", 0, offset, values["timestamp"], 1, values["key"], values["value"], None, 0, 0, ())


def refused(*offsets: int) -> tuple[list[ConsumerRecord], list[Decoded | Refusal]]:
    records = [record(offset) for offset in offsets]
    return records, [Refusal(each, "") for each in records]


def buffer(size: int) -> PartitionBuffer:
    """Every third record is refused, and every fourth is loaded history; no two have anything in common."""
    made = PartitionBuffer()
    for offset in range(size):
        at = record(offset, timestamp=offset)
        event = UsageEvent("acme", 1_000 + offset, 0, 0, "login", None, 1)
        made.add([at], [Refusal(at, "") if offset % 3 == 1 else Decoded(event, 2_000 + offset, offset % 4 == 0)])
    return made


def columns(of: PartitionBuffer) -> list[tuple[Any, ...]]:
    return list(zip(of.offsets, of.taken_ms, of.events, of.identities, of.happened, of.backfill, strict=True))


def count(buffers: PartitionBuffers) -> int:
    return sum(len(buffer.offsets) for buffer in buffers.values())


def offsets(buffers: PartitionBuffers) -> dict[tuple[str, int], list[int]]:
    return {partition: list(buffer.offsets) for partition, buffer in buffers.items()}


@given(
    st.dictionaries(st.tuples(st.just("t"), st.integers(0, 5)), st.integers(1, 9), min_size=1).filter(
        lambda sizes: sum(sizes.values()) > 1
    )
)
def test_halves_hold_all_in_order_and_neither_is_empty(sizes: dict[tuple[str, int], int]) -> None:
    whole = {partition: buffer(size) for partition, size in sizes.items()}
    first, second = bisect(whole)
    assert count(first) > 0
    assert count(second) > 0
    for half in (first, second):
        for each in half.values():
            assert columns(each) == [columns(buffer(offset + 1))[offset] for offset in each.offsets]
    joined: dict[tuple[str, int], list[int]] = {}
    for half in (first, second):
        for partition, found in offsets(half).items():
            joined.setdefault(partition, []).extend(found)
    assert joined == offsets(whole)
    last = {partition: half[partition].fingerprint for half in (first, second) for partition in half}
    assert last == {partition: each.fingerprint for partition, each in whole.items()}, (
        "only what ends as the whole did has its fingerprint"
    )


def test_a_stretch_has_a_place_for_each_record() -> None:
    records = [record(5, timestamp=50), record(6, timestamp=60)]
    event = UsageEvent("acme", 7, 0, 0, "login", None, 1)
    made, reason = PartitionBuffer(), Refusal(records[1], "why")
    made.add(records, [Decoded(event, 2**64 - 1, backfill=True), reason])
    assert columns(made) == [(5, 50, event, 2**64 - 1, 7, 1), (6, 60, None, 0, 0, 0)]
    assert made.refused == {6: reason}
    assert made.fingerprint == fingerprint(records[1])


@pytest.mark.anyio
async def test_what_waits_is_taken_whole_and_makes_room() -> None:
    buffer = RecordBuffer(3)
    assert await buffer.room(0.01)
    for number, found in ((0, refused(1, 2)), (1, refused(7)), (0, refused(3))):
        buffer.add(("t", number), *found)
    assert buffer.left == 0
    assert not await buffer.room(0.01)
    assert offsets(await buffer.take(1)) == {("t", 0): [1, 2, 3], ("t", 1): [7]}
    assert buffer.left == 3
    assert await buffer.room(0.01)
    assert await buffer.take(0.01) == {}


@pytest.mark.anyio
async def test_waiting_for_records_or_room_ends_when_there_is_some() -> None:
    buffer = RecordBuffer(2)
    taking = asyncio.create_task(buffer.take(5))
    await asyncio.sleep(0)
    buffer.add(("t", 0), *refused(1, 2))
    assert offsets(await taking) == {("t", 0): [1, 2]}
    buffer.add(("t", 0), *refused(1, 2))
    rooming = asyncio.create_task(buffer.room(5))
    await asyncio.sleep(0)
    buffer.drop(("t", 0))
    assert await asyncio.wait_for(rooming, 1)
    buffer.drop(("t", 0))
    assert buffer.left == 2


def test_a_fingerprint_distinguishes_records_and_fits_a_signed_column() -> None:
    variants = [
        record(1),
        record(1, key=None),
        record(1, key=b"acm", value=b"e{}"),
        record(1, value=None),
        record(1, timestamp=1_001),
    ]
    found = [fingerprint(each) for each in variants]
    assert len(set(found)) == len(found)
    assert all(-(2**63) <= each < 2**63 for each in found)
    assert fingerprint(record(1)) == fingerprint(record(2)), "it is about what a record holds"
