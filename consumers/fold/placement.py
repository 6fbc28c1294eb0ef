"""Compares the partitions that records are in with those that their keys belong to.

Each partition remembers its own events, so two copies of an event count once only if both are in the same partition.
Clients with the same partitioner ensure that. This watch notices other clients, from a sample of polled records.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TypeVar

import structlog
from aiokafka.partitioner import murmur2
from msgspec import Struct

from service.observability import metrics
from service.storage.ingest.progress import Partition, TopicGrowth

log = structlog.get_logger(__name__)
Polled = TypeVar("Polled")

SAMPLE = 16
"""Records checked per partition and poll; hashing a key takes some microseconds."""
LONGEST_KEY = 1_024
"""Bytes; longer keys name no account and are slow to hash."""
REMEMBER_SECONDS = 3_600.0
"""Time after the last misplaced record during which the watch still reports it; it logs once per interval."""
ADDED_SECONDS = 86_400.0
"""Time during which added partitions are reported: copies of events of the day before may still arrive."""
NO_KEY, OTHER_PARTITION = "no_key", "other_partition"
_REMEDY = {
    NO_KEY: "Give every record the account id as its key",
    OTHER_PARTITION: "Have producers choose partitions by murmur2 (librdkafka: partitioner=murmur2_random)",
}

_ADDED_REMEDY = "Don't resend earlier events within a day; see deploy/operating.md, Adding partitions"


def home(key: bytes, partitions: int) -> int:
    """The partition that Kafka's own clients, and this service's API, choose for a key: murmur2, as in Kafka's Java
    client (org.apache.kafka.clients.producer.internals.BuiltInPartitioner).
    """
    return (_hash(key) & 0x7FFFFFFF) % partitions


@lru_cache(maxsize=65_536)
def _hash(key: bytes) -> int:
    value: int = murmur2(key)
    return value


class Misplaced(Struct, frozen=True):
    """The result of a sample: the number of records checked, and of misplaced ones by reason."""

    checked: int
    reasons: dict[str, int]


def sample(polled: Sequence[Polled]) -> Sequence[Polled]:
    """An even sample, at most `SAMPLE`; a sample of a sample is the whole sample."""
    return polled[:: -(-len(polled) // SAMPLE)] if polled else polled


def examine(partition: int, partitions: int, keys: Sequence[bytes | None]) -> Misplaced:
    """Check an even sample of the keys polled from a partition of a topic with `partitions` partitions."""
    known = [key for key in sample(keys) if key is None or len(key) <= LONGEST_KEY]
    found = {
        NO_KEY: sum(key is None for key in known),
        OTHER_PARTITION: sum(key is not None and home(key, partitions) != partition for key in known),
    }
    return Misplaced(len(known), {reason: count for reason, count in found.items() if count})


class PlacementWatch:
    """Counts misplaced records, logs them once an hour, and reports them to probes."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` returns seconds since 1970."""
        self._clock = clock
        self._seen_at: dict[tuple[str, str], float] = {}
        self._logged_at: dict[tuple[str, str], float] = {}
        self._added_at: dict[str, float] = {}

    def check(self, partition: Partition, partitions: int, keys: Sequence[bytes | None]) -> None:
        """Check the keys of one poll, in the order of their records. With one partition none can be misplaced."""
        if partitions < 2:
            return
        topic, number = partition
        found = examine(number, partitions, keys)
        metrics.PLACEMENT_CHECKED.labels(topic).inc(found.checked)
        for reason, count in found.reasons.items():
            metrics.MISPLACED.labels(topic, reason).inc(count)
            self._note(topic, reason, f"{count} of {found.checked}")

    def note_growth(self, grown: Mapping[str, TopicGrowth]) -> None:
        """Note topics with added partitions: keys move, but the memory of their events doesn't."""
        for topic, growth in grown.items():
            self._added_at[topic] = growth.found_at.timestamp()
            metrics.PARTITIONS_ADDED.labels(topic).set(self._added_at[topic])
            if growth.is_news:
                log.warning("partitions_added", topic=topic, before=growth.before, now=growth.now, remedy=_ADDED_REMEDY)

    def remark(self) -> str:
        """The misplaced records of the last hour and the partitions added in the last day; empty if there are none."""
        now = self._clock()
        misplaced = {topic for (topic, _), seen_at in self._seen_at.items() if seen_at >= now - REMEMBER_SECONDS}
        added = [topic for topic, added_at in self._added_at.items() if added_at >= now - ADDED_SECONDS]
        remarks = {
            "records are in other partitions than their keys belong to": misplaced,
            "partitions were added within a day, so copies of earlier events may count twice": added,
        }
        return "; ".join(f"{what}: {', '.join(sorted(topics))}" for what, topics in remarks.items() if topics)

    def _note(self, topic: str, reason: str, sample: str) -> None:
        now, kind = self._clock(), (topic, reason)
        self._seen_at[kind] = now
        if now - self._logged_at.get(kind, -REMEMBER_SECONDS) >= REMEMBER_SECONDS:
            self._logged_at[kind] = now
            log.warning("records_misplaced", topic=topic, why=reason, sample=sample, remedy=_REMEDY[reason])
