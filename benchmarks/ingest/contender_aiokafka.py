"""Bare aiokafka in a process of its own: the cost of polling and strict decoding when nothing else is done.

`python -m benchmarks.ingest.contender_aiokafka BOOTSTRAP TOPIC PARTITIONS EVENTS` is that process, with the service's
settings of poll, loop and collector, and its decoder.
"""

import gc
import resource
import sys
import time

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks.harness.processes import helping
from benchmarks.ingest.contenders import ContenderRun, FilledTopic
from consumers.fold.decode import Refusal, decode

NAME = "aiokafka poll + decode"
MAX_RECORDS = 20_000
MAX_BYTES = 262_144


def run(topic: FilledTopic) -> ContenderRun:
    """Read the whole topic once."""
    shape = (str(topic.workload.partitions), str(len(topic.workload)))
    with helping("ingest.contender_aiokafka", topic.arena.bootstrap, topic.usage, *shape) as process:
        found = process.findings(ContenderRun)
    found.distribution = topic.distribution
    return found


async def consume(bootstrap: str, topic: str, partitions: int, events: int) -> ContenderRun:
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
                decoded = [decode("usage", record, MAX_BYTES) for record in records]
                assert not isinstance(decoded[0], Refusal), decoded[0].reason
                done += len(records)
        seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    finally:
        await consumer.stop()
    return ContenderRun(
        contender=NAME,
        distribution="",
        events=done,
        events_per_second=done / seconds,
        seconds=seconds,
        cpu_micros=cpu_seconds / done * 1e6,
        peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    )


if __name__ == "__main__":
    _, address, name, partitions, events = sys.argv
    bare = uvloop.run(consume(address, name, int(partitions), int(events)))
    sys.stdout.write(msgspec.json.encode(bare).decode())
