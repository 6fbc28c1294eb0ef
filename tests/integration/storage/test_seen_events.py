"""Stored identities of folded events."""

from datetime import UTC, datetime

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from service.storage.ingest import seen_events
from service.storage.ingest.seen_events import SegmentRow

pytestmark = pytest.mark.anyio

AT = datetime(2026, 1, 2, tzinfo=UTC)
PARTITION = ("usage-events", 3)


def segment(last_offset: int, hashes: bytes) -> SegmentRow:
    return SegmentRow(*PARTITION, last_offset, AT, hashes)


async def test_a_segment_replaces_others_even_where_it_has_the_offset_of_one(engine: AsyncEngine) -> None:
    kept, first, second = (segment(offset, bytes([offset] * 8)) for offset in (4, 9, 12))
    merged = segment(9, first.hashes + second.hashes)
    async with engine.begin() as connection:
        await seen_events.replace(connection, [], [kept, first, second])
        await seen_events.replace(connection, [(*PARTITION, 9), (*PARTITION, 12)], [merged])
        assert await seen_events.load(connection, [PARTITION]) == [kept, merged]
