"""Each record of a batch is counted as folded, duplicate, late or dead letter; late is what the fold leaves out."""

from array import array
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from consumers.fold.batch import Batch, OwnedPartition, prepare
from consumers.fold.buffer import PartitionBuffer, PartitionBuffers
from consumers.fold.decode import Refusal
from consumers.fold.dedup import Deduplicator
from scoring.state.account_state import AccountState, fold
from scoring.state.events import AttributesEvent, Event, SurveyEvent, TicketEvent, UsageEvent
from service.messaging.cloudevents import Decoded
from service.runtime.settings import Signal
from service.storage.ingest.progress import Partition, PartitionClaim
from tests.support.kafka_records import kafka_record
from tests.support.oracle import DAY
from tests.support.strategies import histories

SIGNALS: dict[type[Event], Signal] = {
    UsageEvent: "usage",
    TicketEvent: "ticket",
    SurveyEvent: "survey",
    AttributesEvent: "account",
}
RETENTIONS = st.sampled_from([2, 3, 7])


@st.composite
def buffers(draw: st.DrawFn, retention: int) -> tuple[PartitionBuffers, list[Event]]:
    """A topic per signal, with copies and refused records in between; and the events, each once."""
    events = draw(histories(retention, span=3 * retention))
    buffers: PartitionBuffers = {}
    for identity, event in enumerate(events):
        buffer = buffers.setdefault((SIGNALS[type(event)], 0), PartitionBuffer())
        for copy in [*draw(st.sampled_from(["", "same", "refused", "same refused"])).split(), "itself"]:
            offset = len(buffer.offsets)
            timestamp = event.broker_day * DAY // 1000 + draw(st.sampled_from([0, DAY // 1000 - 1]))
            record = kafka_record("t", offset, timestamp=timestamp)
            backfill = draw(st.booleans())
            buffer.add([record], [Refusal(record, "no") if copy == "refused" else Decoded(event, identity, backfill)])
    return buffers, events


def owned(of: PartitionBuffers) -> dict[Partition, OwnedPartition]:
    return {(topic, number): OwnedPartition("usage", PartitionClaim(0, 1), Deduplicator()) for topic, number in of}


def outcomes(batch: Batch, outcome: str) -> Counter[str]:
    return Counter({topic: count for (topic, each), count in batch.outcomes.items() if each == outcome})


@given(st.data(), RETENTIONS)
def test_every_record_is_counted_once(data: st.DataObject, retention: int) -> None:
    records, _ = data.draw(buffers(retention))
    batch = prepare(records, owned(records), retention)
    assert sum(batch.outcomes.values()) == batch.records == sum(len(each.offsets) for each in records.values())
    for (topic, _), buffer in records.items():
        assert sum(count for (each, _), count in batch.outcomes.items() if each == topic) == len(buffer.offsets)
        assert list(batch.taken_ms[topic, 0]) == list(buffer.taken_ms)


@given(st.data(), RETENTIONS)
def test_late_is_what_the_fold_leaves_out(data: st.DataObject, retention: int) -> None:
    records, events = data.draw(buffers(retention))
    batch = prepare(records, owned(records), retention)
    for kind, signal in SIGNALS.items():
        of_signal = [event for event in events if type(event) is kind]
        late = fold(AccountState(), of_signal, retention)
        assert outcomes(batch, "late")[signal] == late
        assert outcomes(batch, "folded")[signal] == len(of_signal) - late


def news(buffer: PartitionBuffer) -> list[tuple[Event, int, bool]]:
    """The first copy of each event, with the broker's time, and whether it is loaded history."""
    seen: set[int] = set()
    found = []
    for event, identity, ms, loaded in zip(
        buffer.events, buffer.identities, buffer.taken_ms, buffer.backfill, strict=True
    ):
        if event is not None and identity not in seen:
            seen.add(identity)
            found.append((event, ms, bool(loaded)))
    return found


@given(st.data(), RETENTIONS)
def test_what_happened_is_timed_but_for_loaded_history(data: st.DataObject, retention: int) -> None:
    records, _ = data.draw(buffers(retention))
    batch = prepare(records, owned(records), retention)
    for partition, buffer in records.items():
        expected = [
            event.at
            for event, ms, loaded in news(buffer)
            if not loaded and event.at // DAY > ms * 1000 // DAY - retention
        ]
        assert list(batch.happened.get(partition, array("q"))) == expected


@given(st.data(), RETENTIONS)
def test_events_are_put_to_their_accounts_and_those_that_only_bring_history_are_quiet(
    data: st.DataObject, retention: int
) -> None:
    records, _ = data.draw(buffers(retention))
    batch = prepare(records, owned(records), retention)
    events: dict[str, list[Event]] = {}
    loud = set()
    for buffer in records.values():
        for event, _, loaded in news(buffer):
            events.setdefault(event.account_id, []).append(event)
            if not loaded:
                loud.add(event.account_id)
    assert batch.events == events
    assert batch.backfill == events.keys() - loud


@given(st.data(), RETENTIONS)
def test_what_was_folded_before_is_left_out(data: st.DataObject, retention: int) -> None:
    records, _ = data.draw(buffers(retention))
    where = {partition: data.draw(st.integers(0, len(buffer.offsets))) for partition, buffer in records.items()}
    rest = {
        partition: buffer.cut(where[partition], len(buffer.offsets))
        for partition, buffer in records.items()
        if where[partition] < len(buffer.offsets)
    }
    claimed = owned(records)
    for partition, start in where.items():
        claimed[partition].claim = PartitionClaim(start, 1)
    batch, expected = prepare(records, claimed, retention), prepare(rest, claimed, retention)
    assert (batch.events, batch.backfill, batch.outcomes) == (expected.events, expected.backfill, expected.outcomes)
    assert (batch.moves, batch.dead_letters) == (expected.moves, expected.dead_letters)
    for ours, theirs in ((batch.taken_ms, expected.taken_ms), (batch.happened, expected.happened)):
        assert {key: list(value) for key, value in ours.items()} == {key: list(each) for key, each in theirs.items()}
