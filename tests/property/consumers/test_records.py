"""Whole records, whatever is in them: each is an event, a dead letter that Postgres can hold, or a tombstone."""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from aiokafka import ConsumerRecord
from hypothesis import example, given
from hypothesis import strategies as st

from consumers.fold import batch_tracing
from consumers.fold.batch import Batch, OwnedPartition, prepare
from consumers.fold.buffer import PartitionBuffer, fingerprint
from consumers.fold.decode import LONGEST_REASON, Refusal, Tombstone, decode
from consumers.fold.dedup import Deduplicator
from service.api.resources.dead_letters import _shown
from service.cli.dead_letter_text import lines
from service.messaging.cloudevents import Decoded
from service.messaging.dead_letter_replay import relay_records
from service.runtime.settings import Signal
from service.storage.ingest.dead_letter_listing import DeadLetter
from service.storage.ingest.dead_letters import DeadLetterRow, header_from_text
from service.storage.ingest.progress import PartitionClaim
from tests.support.cloud_events import TYPES
from tests.support.whole_records import binary, envelope, record, structured, whole_records

MOST_BYTES = 2_000
PARTITION = ("t", 0)
WITHOUT_DATA = structured("usage").replace(b'"data"', b'"extension": %s, "other"')
"""A record that is read as a whole only if `data_base64` might be in it."""
SIGNALS: st.SearchStrategy[Signal] = st.sampled_from(["usage", "ticket", "survey", "account"])


def prepared(signal: Signal, records: Sequence[ConsumerRecord]) -> Batch:
    buffer = PartitionBuffer()
    buffer.add(records, [decode(signal, each, MOST_BYTES) for each in records])
    return prepare({PARTITION: buffer}, {PARTITION: OwnedPartition(signal, PartitionClaim(0, 1), Deduplicator())}, 92)


def letter(row: DeadLetterRow) -> DeadLetter:
    """The dead letter as Postgres returns it."""
    kept: dict[str, Any] = row._asdict() | {"headers": json.loads(row.headers)}
    return DeadLetter(id=1, **kept, created_at=datetime.now(UTC), replayed_at=None, relayed_at=None)


@given(SIGNALS, whole_records())
@example("usage", record(headers=[("ce_traceparent", None)]))
@example("usage", record(headers=[*binary(TYPES["usage"]), ("ce_traceparent", None)]))
@example("usage", record(headers=[*binary(TYPES["usage"]), ("ce_id", None), ("content-type", None)]))
@example("usage", record(headers=[("ce_specversion", None)]))
@example("usage", record(value=WITHOUT_DATA % b'"\xc0"'))
@example("usage", record(value=WITHOUT_DATA % (b"[" * 1_500)))
def test_decoding_is_total(signal: Signal, record: ConsumerRecord) -> None:
    result = decode(signal, record, MOST_BYTES)
    assert isinstance(result, Decoded | Refusal | Tombstone)
    assert isinstance(result, Tombstone) == (record.value is None)
    assert -(2**63) <= fingerprint(record) < 2**63
    assert batch_tracing.contexts([record]).keys() <= {record.offset}


@pytest.mark.parametrize("written", ["application/cloudevents+json", "Application/CloudEvents+JSON; charset=UTF-8"])
def test_the_mode_follows_from_the_media_type_in_any_case(written: str) -> None:
    """A record whose value is a whole event, though it has the headers of binary mode too."""
    headers = [*binary(TYPES["usage"]), ("Content-Type", written.encode())]
    assert isinstance(decode("usage", record(headers=headers), MOST_BYTES), Decoded)


@given(SIGNALS, st.lists(whole_records(), min_size=1, max_size=6))
def test_every_record_of_a_batch_is_accounted_for(signal: Signal, records: list[ConsumerRecord]) -> None:
    numbered = [_at(each, offset) for offset, each in enumerate(records)]
    batch = prepared(signal, numbered)
    counted = {outcome: count for (_, outcome), count in batch.outcomes.items()}
    assert sum(counted.values()) == batch.records == len(records)
    assert batch.moves[PARTITION].next_offset == len(records)
    assert counted["tombstone"] == sum(each.value is None for each in records)
    assert counted["dead_letter"] == len(batch.dead_letters)
    assert sum(map(len, batch.events.values())) == counted.get("folded", 0) + counted.get("late", 0)


@given(SIGNALS, whole_records())
@example("usage", record(value=b"", headers=[("\x00", b""), ("\\u0000", None), ("a\\\x00", b"\x00")]))
@example("usage", record(value=b'{"' + b"x" * 1_900 + b'": 1}'))
@example("usage", record(value=b"{}", key=b"\x00"))
def test_a_dead_letter_can_be_kept_read_relayed_and_replayed(signal: Signal, record: ConsumerRecord) -> None:
    for row in prepared(signal, [record]).dead_letters:
        assert (row.key, row.value) == (record.key, record.value)
        assert 0 < len(row.reason) <= LONGEST_REASON
        kept = json.loads(row.headers)
        assert [header_from_text(value) for _, value in kept] == [value for _, value in record.headers]
        for text in (row.reason, row.account_id or "", *[name for name, _ in kept]):
            assert "\x00" not in text
            text.encode()
        assert row.recorded_at.tzinfo is UTC
        found = letter(row)
        for form in relay_records(found):
            assert all(isinstance(name, str) for name, _ in form.headers)
        assert "".join(lines(found)).isprintable()
        assert _shown(found).model_dump_json()


@given(st.lists(st.booleans(), min_size=1, max_size=300))
def test_a_log_of_mostly_tombstones_moves_on(good: list[bool]) -> None:
    records = [record(offset, value=record().value if is_good else None) for offset, is_good in enumerate(good)]
    batch = prepared("usage", records)
    assert batch.moves[PARTITION].next_offset == len(good)
    assert batch.dead_letters == []
    assert batch.outcomes["t", "tombstone"] == good.count(False)
    assert batch.outcomes["t", "folded"] == (1 if any(good) else 0)


def _at(record: ConsumerRecord, offset: int) -> ConsumerRecord:
    return ConsumerRecord(
        record.topic,
        record.partition,
        offset,
        record.timestamp,
        record.timestamp_type,
        record.key,
        record.value,
        None,
        0,
        0,
        record.headers,
    )


def test_nul_is_found_in_base64_too() -> None:
    def refusal(value: bytes) -> str:
        result = decode("usage", record(value=value), MOST_BYTES)
        assert isinstance(result, Refusal)
        return result.reason

    data = base64.b64encode(b'{"feature": "log\\u0000in"}')
    event = json.dumps(envelope(TYPES["usage"])).encode()[:-1] + b', "data_base64": "' + data + b'"}'
    assert refusal(event).startswith("data_base64: ")
    assert refusal(event.replace(b'"/s"', b'"/s\\u0000"')).startswith("source: ")
