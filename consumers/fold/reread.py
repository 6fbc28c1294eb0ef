"""Reads a log again from given offsets, tolerating damage."""

from collections import defaultdict
from collections.abc import Mapping

from aiokafka import AIOKafkaClient, TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.protocol.fetch import FetchRequest

from consumers.fold.record_batches import Fetched, Reading, read
from service.messaging.client_config import CLIENT_ID, client_arguments
from service.runtime.settings import Settings
from service.storage.ingest.progress import Partition

MOST_BYTES = 1024 * 1024
"""The limit per partition; a larger batch still comes whole."""
MOST_BYTES_AT_ONCE = 50 * MOST_BYTES
WAIT_MILLISECONDS = 100
_WITH_ABORTED, _WITH_REPLICA = 4, 11
"""The first versions of the reply with aborted transactions, and with a replica after them."""


async def reread(settings: Settings, offsets: Mapping[Partition, int]) -> dict[Partition, Reading]:
    """Read the readable records of partitions from these offsets on, up to `MOST_BYTES` each. Raises `KafkaError`.

    Leaves out partitions that have no leader, or whose leader doesn't reply for them.
    """
    client = AIOKafkaClient(**client_arguments(settings), client_id=CLIENT_ID)
    try:
        await client.bootstrap()
        await client.set_topics({topic for topic, _ in offsets})
        by_leader: dict[int, list[Partition]] = defaultdict(list)
        for partition in offsets:
            leader = client.cluster.leader_for_partition(TopicPartition(*partition))
            if leader is not None and leader >= 0:
                by_leader[leader].append(partition)
        found: dict[Partition, Reading] = {}
        for leader, partitions in by_leader.items():
            fetched = await _ask(client, leader, {partition: offsets[partition] for partition in partitions})
            found |= {partition: read(partition, each, offsets[partition]) for partition, each in fetched.items()}
        return found
    finally:
        await client.close()


async def _ask(client: AIOKafkaClient, leader: int, offsets: Mapping[Partition, int]) -> dict[Partition, Fetched]:
    topics: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for (topic, number), offset in offsets.items():
        topics[topic].append((number, offset, MOST_BYTES))
    request = FetchRequest(WAIT_MILLISECONDS, 1, MOST_BYTES_AT_ONCE, READ_COMMITTED, list(topics.items()))
    answer = await client.send(leader, request)
    found = {}
    for topic, partitions in answer.topics:
        for number, error, end, *rest in partitions:
            if not error:
                aborted = rest[2] if answer.API_VERSION >= _WITH_REPLICA else rest[-2]
                found[topic, number] = Fetched(
                    rest[-1] or b"", (aborted or []) if answer.API_VERSION >= _WITH_ABORTED else [], end
                )
    return found
