"""The contexts that a batch passes on to alerts, and the number of its spans."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import pytest

from consumers.fold.batch import Batch, OwnedPartition, prepare
from consumers.fold.batch_tracing import MOST_SPANS, batch_spans
from consumers.fold.buffer import PartitionBuffer, bisect
from consumers.fold.dedup import Deduplicator
from scoring.state.events import UsageEvent
from service.messaging.cloudevents import Decoded
from service.observability import spans, tracing
from service.observability.spans import Attributes, Kind
from service.storage.ingest.progress import PartitionClaim
from tests.support.kafka_records import kafka_record

PLACE = ("usage-events", 0)


class Recorded:
    """A tracer that keeps the parents of its spans; a span's context is made of its parent's."""

    def __init__(self) -> None:
        self.parents: list[str | None] = []

    @contextmanager
    def span(
        self, name: str, kind: Kind, parent: str | None, links: Iterable[str], attributes: Attributes, *, alone: bool
    ) -> Iterator[spans.Span]:
        assert alone, "the poller's and the folder's work are not each other's"
        self.parents.append(parent)
        yield Told(f"below {parent}")

    def ids(self) -> None:
        return None

    def current(self) -> None:
        return None

    def stop(self) -> None:
        """Do nothing: no span is left to send."""


class Told:
    def __init__(self, traceparent: str) -> None:
        self.traceparent = traceparent

    def name(self, name: str) -> None: ...

    def add(self, attributes: Attributes) -> None: ...

    def fail(self, kind: str) -> None: ...


@pytest.fixture
def tracer(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    recorded = Recorded()
    monkeypatch.setattr(tracing, "_tracer", recorded)
    return recorded


def event(account_id: str, at: int, identity: int) -> Decoded:
    return Decoded(UsageEvent(account_id, at, 20_000, 20_000, "login", None, 1), identity, backfill=False)


def stretch_of(results: dict[int, Decoded], contexts: dict[int, str]) -> PartitionBuffer:
    buffer = PartitionBuffer(traces=contexts)
    buffer.add([kafka_record(PLACE[0], offset) for offset in results], list(results.values()))
    return buffer


def batch_of(buffer: PartitionBuffer) -> Batch:
    claim = PartitionClaim(epoch=1, next_offset=buffer.offsets[0], fingerprint=None)
    return prepare({PLACE: buffer}, {PLACE: OwnedPartition("usage", claim, Deduplicator())}, 92)


def test_the_newest_event_of_an_account_gives_its_context(tracer: Recorded) -> None:
    results = [
        event("acme", 5, 1),
        event("globex", 1, 2),
        event("acme", 9, 3),
        event("acme", 7, 4),
        event("other", 1, 5),
    ]
    contexts_of = {10: "a", 12: "b", 13: "c", 11: "d", 14: "gone"}
    buffer = stretch_of(dict(zip([10, 11, 12, 13, 17], results, strict=True)), contexts_of)
    with batch_spans({PLACE: buffer}, batch_of(buffer)) as contexts:
        assert contexts == {"acme": "below b", "globex": "below d"}
    assert set(tracer.parents) == {None, "b", "d"}


def test_a_batch_makes_a_bounded_number_of_spans_and_hands_on_all_contexts(tracer: Recorded) -> None:
    count = MOST_SPANS * 3
    results = {number: event(f"account-{number}", 1, number) for number in range(count)}
    buffer = stretch_of(results, {number: f"c{number}" for number in range(count)})
    with batch_spans({PLACE: buffer}, batch_of(buffer)) as contexts:
        assert len(contexts) == count
        assert contexts["account-0"] == "below c0"
        assert contexts[f"account-{count - 1}"] == f"c{count - 1}"
    assert len(tracer.parents) == MOST_SPANS + 1


def test_halves_of_a_batch_keep_their_contexts(tracer: Recorded) -> None:
    buffer = stretch_of({0: event("acme", 1, 1), 1: event("globex", 1, 2)}, {0: "a", 1: "b"})
    found = []
    for half in bisect({PLACE: buffer}):
        with batch_spans(half, batch_of(half[PLACE])) as contexts:
            found.append(dict(contexts))
    assert found == [{"acme": "below a"}, {"globex": "below b"}]


def test_nothing_is_looked_at_while_tracing_is_off() -> None:
    with batch_spans({}, Batch()) as contexts:
        assert contexts == {}
