"""The process of `contender_aiokafka`: a consumer with the service's settings of poll, loop and collector."""

import gc
import json
import resource
import sys
import time
from collections.abc import Callable

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from consumers.fold.decode import Refusal, decode

MAX_RECORDS = 20_000
MAX_BYTES = 262_144


class PlainData(msgspec.Struct, gc=False):
    """The part of `data` that a fold needs."""

    feature: str
    user_id: str
    quantity: int


class Plain(msgspec.Struct, gc=False):
    """The part of an event that a fold needs; nothing is checked."""

    id: str
    subject: str
    time: str
    data: PlainData


def poll_only(_: list[ConsumerRecord]) -> None:
    """Decode nothing."""


def plain(records: list[ConsumerRecord]) -> None:
    """The fastest JSON decoding in Python."""
    read = _plain.decode
    kept = [read(record.value) for record in records]
    assert kept


def service(records: list[ConsumerRecord]) -> None:
    """The service's own decoder."""
    kept = [decode("usage", record, MAX_BYTES) for record in records]
    assert not isinstance(kept[0], Refusal), kept[0].reason


_plain = msgspec.json.Decoder(Plain)
MODES: dict[str, Callable[[list[ConsumerRecord]], None]] = {"poll": poll_only, "msgspec": plain, "decode": service}


async def consume(
    bootstrap: str, topic: str, partitions: int, work: Callable[[list[ConsumerRecord]], None], events: int
) -> dict[str, float]:
    """Read `events` records.

    The clock starts before the first poll: after it, many records would be there already, fetched meanwhile.
    """
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        enable_auto_commit=False,
        isolation_level="read_committed",
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=4 * 1024 * 1024,
    )
    await consumer.start()
    try:
        assigned = [TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(assigned)
        await consumer.seek_to_beginning(*assigned)
        gc.collect()
        gc.freeze()
        gc.disable()
        done = 0
        started, cpu_started = time.perf_counter(), time.process_time()
        while done < events:
            polled = await consumer.getmany(timeout_ms=100, max_records=MAX_RECORDS)
            for records in polled.values():
                work(records)
                done += len(records)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu_started
    finally:
        await consumer.stop()
    return {
        "events": done,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }


def main() -> None:
    """Arguments: bootstrap servers, topic, its number of partitions, mode, number of events. Prints JSON."""
    bootstrap, topic, partitions, mode, events = sys.argv[1:]
    print(json.dumps(uvloop.run(consume(bootstrap, topic, int(partitions), MODES[mode], int(events)))))


if __name__ == "__main__":
    main()
