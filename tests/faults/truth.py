"""The expected outcome of a run, worked out from the log at its end.

The log is the truth, not the records that were sent: a producer whose broker dies may send a record twice.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka import ConsumerRecord

from consumers.fold.decode import decode
from scoring.state.events import Event
from service.messaging.cloudevents import Decoded
from service.runtime.settings import Settings, Signal
from service.storage.ingest.progress import Partition
from tests.faults import log
from tests.faults.stream import POISON

Stamp = tuple[datetime, str]
"""The key by which the last writer wins: time and id."""


@dataclass
class Tally:
    """An account counted plainly from JSON, with nothing of the service between."""

    usage: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Quantity by feature and day."""
    tickets: dict[str, tuple[Stamp, str]] = field(default_factory=dict)
    """Last status by ticket."""
    answers: dict[str, tuple[Stamp, float]] = field(default_factory=dict)
    """Last score by respondent."""
    attributes: dict[str, tuple[Stamp, Any]] = field(default_factory=dict)

    def count(self, signal: Signal, event: dict[str, Any]) -> None:
        """Count one event, once."""
        data, at = event["data"], datetime.fromisoformat(event["time"])
        stamp = (at, event["id"])
        if signal == "usage":
            self.usage[data["feature"], at.date().isoformat()] += data["quantity"]
        elif signal == "ticket":
            _keep_last(self.tickets, data["ticket_id"], stamp, data["status"])
        elif signal == "survey":
            _keep_last(self.answers, data["respondent_id"], stamp, data["score"])
        else:
            for name, value in data.items():
                _keep_last(self.attributes, name, stamp, value)


def _keep_last(kept: dict[str, tuple[Stamp, Any]], key: str, stamp: Stamp, value: object) -> None:
    if key not in kept or kept[key][0] < stamp:
        kept[key] = (stamp, value)


@dataclass
class Truth:
    """The contents of the log, and the outcome that they must have."""

    ends: dict[Partition, int]
    """The offset after the last record, by partition; only marks of transactions follow."""
    poison: dict[tuple[str, int, int], str] = field(default_factory=dict)
    """The faults of bad records, by position."""
    events: dict[str, list[Event]] = field(default_factory=dict)
    """Each event once, by account; late ones too."""
    tallies: dict[str, Tally] = field(default_factory=dict)
    records: int = 0
    copies: int = 0
    tombstones: int = 0
    late: int = 0
    out_of_order: int = 0


async def read(settings: Settings) -> Truth:
    """Read all topics from beginning to end."""
    signals: dict[str, Signal] = {topic: signal for signal, topic in settings.topics.items()}
    async with log.reading(settings) as held:
        truth = Truth(dict.fromkeys(held.partitions, 0))
        known: dict[str, set[tuple[str, str]]] = {topic: set() for topic in signals}
        readers = {
            (topic, number): _Reader(truth, signals[topic], settings, known[topic]) for topic, number in held.partitions
        }
        async for record in held.records():
            truth.ends[record.topic, record.partition] = record.offset + 1
            readers[record.topic, record.partition].take(record)
    return truth


class _Reader:
    """Takes the records of one partition in their order: of copies, the first counts.

    `known` is of the whole topic: no copy may count in another partition either.
    """

    def __init__(self, truth: Truth, signal: Signal, settings: Settings, known: set[tuple[str, str]]) -> None:
        self._truth = truth
        self._signal = signal
        self._settings = settings
        self._known = known
        self._newest = datetime.min.replace(tzinfo=UTC)

    def take(self, record: ConsumerRecord) -> None:
        truth = self._truth
        truth.records += 1
        marks = dict(record.headers)
        if POISON in marks:
            truth.poison[record.topic, record.partition, record.offset] = marks[POISON].decode()
            return
        if record.value is None:
            truth.tombstones += 1
            return
        event = json.loads(record.value)
        identity = (event["source"], event["id"])
        if identity in self._known:
            truth.copies += 1
            return
        self._known.add(identity)
        decoded = decode(self._signal, record, self._settings.max_record_bytes)
        assert isinstance(decoded, Decoded), f"good, but refused: {decoded}"
        truth.events.setdefault(event["subject"], []).append(decoded.event)
        self._count(event, record)

    def _count(self, event: dict[str, Any], record: ConsumerRecord) -> None:
        at = datetime.fromisoformat(event["time"])
        self._truth.out_of_order += at < self._newest
        self._newest = max(self._newest, at)
        oldest = datetime.fromtimestamp(record.timestamp / 1000, UTC).date() - timedelta(
            days=self._settings.retention_days - 1
        )
        tally = self._truth.tallies.setdefault(event["subject"], Tally())
        if at.date() < oldest:
            self._truth.late += 1
        else:
            tally.count(self._signal, event)
