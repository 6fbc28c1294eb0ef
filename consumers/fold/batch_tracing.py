"""Tracing of batches: reads the trace contexts of records, and opens the spans that continue them."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import islice
from types import MappingProxyType

from aiokafka import ConsumerRecord
from msgspec import DecodeError, Struct, json

from consumers.fold.batch import Batch
from consumers.fold.buffer import PartitionBuffers
from service.observability import tracing
from service.observability.trace_context import sampled

MOST_SPANS = 128
"""The most spans per batch. Further accounts pass their context on to alerts, but get no span here."""

Contexts = Mapping[str, str]
_NONE: Contexts = MappingProxyType({})
_NAME = "traceparent"
_NAMES = (_NAME, f"ce_{_NAME}")


class _Extension(Struct):
    """CloudEvents' extension for distributed tracing."""

    traceparent: str = ""


_extension = json.Decoder(_Extension)


def contexts(records: Iterable[ConsumerRecord]) -> dict[int, str]:
    """The trace contexts of records whose producer traces, by offset. Only called while tracing is on.

    A header goes before the event's attribute: the header was written by the last hop, the attribute is as old as the
    event.
    """
    found = {}
    for record in records:
        if context := (record.headers and _in_headers(record)) or _in_value(record.value):
            found[record.offset] = context
    return found


def _in_headers(record: ConsumerRecord) -> str | None:
    for wanted in _NAMES:
        for name, value in record.headers:
            if name.lower() == wanted and (context := sampled(value)):
                return context
    return None


def _in_value(value: bytes | None) -> str | None:
    if value is None or b'"traceparent"' not in value:
        return None
    try:
        return sampled(_extension.decode(value).traceparent.encode())
    except (DecodeError, UnicodeError, RecursionError):
        return None


@contextmanager
def batch_spans(buffers: PartitionBuffers, batch: Batch) -> Iterator[Contexts]:
    """Open the spans of a batch that is being written: one of its own, and one in each trace that led here.

    Yields the trace context for each account's alerts: that of its newest event that has one.
    """
    if not tracing.is_on():
        yield _NONE
        return
    newest = _newest(buffers, batch)
    first = dict(islice(newest.items(), MOST_SPANS))
    about = {"messaging.system": "kafka", "messaging.operation.type": "process"}
    with ExitStack() as spans:
        whole = spans.enter_context(
            tracing.span(
                "fold batch",
                "consumer",
                links=first.values(),
                attributes={**about, "messaging.batch.message_count": batch.records, "health.traced": len(newest)},
                alone=True,
            )
        )
        links = [whole.traceparent] if whole.traceparent else []
        passed_on = dict(newest)
        for account_id, context in first.items():
            attributes = {**about, "health.account_id": account_id}
            span = tracing.span(
                "fold events", "consumer", parent=context, links=links, attributes=attributes, alone=True
            )
            passed_on[account_id] = spans.enter_context(span).traceparent or context
        yield passed_on


def _newest(buffers: PartitionBuffers, batch: Batch) -> Contexts:
    """The context of each account's newest traced event in the batch."""
    newest: dict[str, tuple[int, str]] = {}
    for partition in batch.moves:
        buffer = buffers[partition]
        for offset, context in buffer.traces.items():
            index = bisect_left(buffer.offsets, offset)
            if index == len(buffer.offsets) or buffer.offsets[index] != offset:
                continue
            event = buffer.events[index]
            if event is not None and event.account_id in batch.events:
                known = newest.get(event.account_id)
                if known is None or known[0] <= event.at:
                    newest[event.account_id] = event.at, context
    return {account_id: context for account_id, (_, context) in newest.items()}
