"""Filling a topic before it is read."""

import time

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder

from benchmarks.harness.workload import Workload

BATCH_BYTES = 256 * 1024


async def fill(bootstrap: str, topic: str, workload: Workload) -> None:
    """Produce all events of `workload`, in order within each partition, and wait until the broker has them."""
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, max_batch_size=BATCH_BYTES
    )
    await producer.start()
    try:
        batches: dict[int, BatchBuilder] = {}
        receipts = []
        now = int(time.time() * 1000)
        for partitions, keys, values in workload.chunks():
            for partition, key, value in zip(partitions, keys, values, strict=True):
                batch = batches.get(partition)
                if batch is not None and batch.append(timestamp=now, key=key, value=value) is not None:
                    continue
                if batch is not None:
                    receipts.append(await producer.send_batch(batch, topic, partition=partition))
                batch = batches[partition] = producer.create_batch()
                batch.append(timestamp=now, key=key, value=value)
        for partition, batch in batches.items():
            receipts.append(await producer.send_batch(batch, topic, partition=partition))
        for receipt in receipts:
            await receipt
    finally:
        await producer.stop()
