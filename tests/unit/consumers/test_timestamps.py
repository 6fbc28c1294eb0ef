"""Timestamps of records: which are taken, what a record is refused with, and that a later clock decides the same."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from aiokafka import ConsumerRecord
from hypothesis import example, given
from hypothesis import strategies as st

from consumers.fold import timestamps
from consumers.fold.batch import OwnedPartition, prepare
from consumers.fold.buffer import PartitionBuffer, fingerprint
from consumers.fold.decode import Refusal, as_decided, dead_letter, decode
from consumers.fold.dedup import Deduplicator
from service.messaging.cloudevents import Decoded
from service.storage.ingest.progress import PartitionClaim
from tests.support.cloud_events import encode, usage
from tests.support.kafka_records import kafka_record

NOW = datetime(2026, 7, 20, 10, 40, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
LATEST = timestamps.latest(NOW.timestamp())
DAY_MS = 86_400_000
CREATE, APPEND = 0, 1
EVENT = encode(usage("acme", time=NOW.isoformat()))


def refusal(timestamp: int | None, kind: int = CREATE, **changes: Any) -> str:
    record = kafka_record("t", 1, EVENT, timestamp=timestamp, timestamp_type=kind, **changes)
    result = decode("usage", record, 262_144, LATEST)
    return result.reason if isinstance(result, Refusal) else ""


BY_PRODUCER = "its producer set it, as the topic has message.timestamp.type=CreateTime"
BY_BROKER = "its broker set it, so check its clock and the consumer's"


@pytest.mark.parametrize(
    ("timestamp", "kind", "reason"),
    [
        (NOW_MS, CREATE, ""),
        (NOW_MS - 60_000, CREATE, ""),
        (LATEST, CREATE, ""),
        (LATEST, APPEND, ""),
        (None, CREATE, "the record has none"),
        (-1, CREATE, "the record has none"),
        (-(2**63), APPEND, "the record has none"),
        (
            LATEST + 1,
            CREATE,
            f"2026-07-20T10:45:00Z lies more than 5 minutes ahead of the consumer's clock; {BY_PRODUCER}",
        ),
        (
            NOW_MS + 400 * DAY_MS,
            APPEND,
            f"2027-08-24T10:40:00Z lies more than 5 minutes ahead of the consumer's clock; {BY_BROKER}",
        ),
        (
            NOW_MS * 1_000,
            CREATE,
            (
                f"1784544000000000 is not a time in milliseconds since 1970; {BY_PRODUCER}"
                " (in microseconds it would be 2026-07-20T10:40:00Z)"
            ),
        ),
        (
            NOW_MS * 1_000_000,
            CREATE,
            (
                f"1784544000000000000 is not a time in milliseconds since 1970; {BY_PRODUCER}"
                " (in nanoseconds it would be 2026-07-20T10:40:00Z)"
            ),
        ),
        (
            2**63 - 1,
            CREATE,
            (
                f"9223372036854775807 is not a time in milliseconds since 1970; {BY_PRODUCER}"
                " (in nanoseconds it would be 2262-04-11T23:47:16Z)"
            ),
        ),
        # In seconds: it is a time of January 1970, and the event would lie ahead of it.
        (
            NOW_MS // 1_000,
            CREATE,
            f"1970-01-21T15:42:24Z lies more than 5 minutes before the event's time; {BY_PRODUCER}",
        ),
    ],
)
def test_a_timestamp_that_is_not_to_be_gone_by_is_blamed_and_not_the_event(
    timestamp: int | None, kind: int, reason: str
) -> None:
    assert refusal(timestamp, kind) == (f"timestamp: {reason}" if reason else "")


def test_where_the_broker_stamps_an_event_that_lies_ahead_is_blamed_itself() -> None:
    assert refusal(NOW_MS - DAY_MS, APPEND) == "time: lies more than 5 minutes in the future"


def test_a_later_clock_takes_a_record_unless_it_was_refused_before() -> None:
    record = kafka_record("t", 7, EVENT, timestamp=NOW_MS + DAY_MS, timestamp_type=CREATE)
    later = decode("usage", record, 262_144, LATEST + DAY_MS)
    assert isinstance(later, Decoded)
    assert as_decided(record, later, {(7, NOW_MS)}) is later, "of a log that was created again"
    assert as_decided(record, later, {(6, NOW_MS + DAY_MS)}) is later
    again = as_decided(record, later, {(7, NOW_MS + DAY_MS)})
    assert isinstance(again, Refusal)
    assert again == decode("usage", record, 262_144, LATEST)


@given(
    st.lists(
        st.tuples(
            st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(NOW_MS - 600 * DAY_MS, NOW_MS + 600 * DAY_MS),
            st.sampled_from([CREATE, APPEND]),
        ),
        min_size=1,
        max_size=20,
    )
)
@example([(253_402_300_799_999, CREATE), (253_402_300_800_000, CREATE), (NOW_MS, CREATE)])
def test_any_timestamps_make_a_batch_of_which_none_is_ahead(found: list[tuple[int | None, int]]) -> None:
    partition = ("t", 0)
    records = [
        kafka_record("t", offset, EVENT.replace(b"acme", b"a%d" % offset), timestamp=timestamp, timestamp_type=kind)
        for offset, (timestamp, kind) in enumerate(found)
    ]
    results = [decode("usage", record, 262_144, LATEST) for record in records]
    buffer = PartitionBuffer()
    buffer.add(records, results)
    batch = prepare({partition: buffer}, {partition: OwnedPartition("usage", PartitionClaim(0, 1), Deduplicator())}, 92)
    assert sum(map(len, batch.events.values())) + len(batch.dead_letters) <= batch.records == len(records)
    assert sum(batch.outcomes.values()) == len(records)
    days = [event.broker_day for events in batch.events.values() for event in events]
    assert all(0 <= day <= LATEST // DAY_MS for day in days)
    assert np.all((batch.taken_ms[partition] >= 0) & (batch.taken_ms[partition] <= LATEST))
    if partition in batch.changes:
        assert batch.changes[partition].added.newest_at <= NOW + timedelta(minutes=5)
    for letter in batch.dead_letters:
        assert 1970 <= letter.recorded_at.year <= 9999
    refused = [each for each in results if isinstance(each, Refusal)]
    assert [dead_letter(each) for each in refused] == batch.dead_letters
    # Only refusals that a later clock would accept are stored.
    decided = {(offset, stamp) for _, _, offset, stamp in batch.ahead}
    for record, result in zip(records, results, strict=True):
        later = as_decided(record, decode("usage", record, 262_144), decided)
        assert isinstance(later, Refusal) == isinstance(result, Refusal)
        assert -(2**63) <= fingerprint(record) < 2**63


def test_a_broker_that_is_ahead_is_found_and_producers_are_not() -> None:
    def records(*found: tuple[int | None, int]) -> list[ConsumerRecord]:
        return [
            kafka_record("t", offset, EVENT, timestamp=timestamp, timestamp_type=kind)
            for offset, (timestamp, kind) in enumerate(found)
        ]

    fine, ahead = (NOW_MS, APPEND), (LATEST + 1, APPEND)
    assert timestamps.broker_ahead(records(fine, fine, ahead, fine), LATEST) == 2
    assert timestamps.broker_ahead(records(ahead), LATEST) == 0
    assert timestamps.broker_ahead(records(fine, (LATEST + 1, CREATE), (None, APPEND), (2**62, APPEND)), LATEST) is None
    assert timestamps.broker_ahead([], LATEST) is None
